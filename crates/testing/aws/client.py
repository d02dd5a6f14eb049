"""AWS's own client for Python: what a test of Leasehold is checked with.

Usage: client.py ENDPOINT, with a JSON list on standard input:
[{"key": …, "secret": …, "token": null, "service": "iam", "operation": "create_user", "parameters": {…}}, …]
Makes the calls one after another and writes a JSON list with {"result": …} or {"error": CODE} for each.
"""

import json
import sys
from functools import cache

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


@cache
def client(service, key, secret, token):
    return boto3.client(
        service,
        endpoint_url=sys.argv[1],
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(retries={"max_attempts": 1}, proxies={}),
    )


answers = []
for call in json.load(sys.stdin):
    asks = client(call["service"], call["key"], call["secret"], call["token"])
    try:
        result = getattr(asks, call["operation"])(**call["parameters"])
        result.pop("ResponseMetadata", None)
        answers.append({"result": result})
    except ClientError as error:
        answers.append({"error": error.response["Error"]["Code"]})
print(json.dumps(answers, default=str))
