"""AWS's own client for Python: what a test of Leasehold is checked with.

Usage: client.py ENDPOINT, with a JSON object on standard input:
{"key": …, "secret": …, "token": null, "service": "iam", "calls": [["create_user", {…}], …]}
Makes the calls one after another and writes a JSON list with {"result": …} or {"error": CODE} for each.
"""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

asked = json.load(sys.stdin)
client = boto3.client(
    asked["service"],
    endpoint_url=sys.argv[1],
    region_name="us-east-1",
    aws_access_key_id=asked["key"],
    aws_secret_access_key=asked["secret"],
    aws_session_token=asked.get("token"),
    config=Config(retries={"max_attempts": 1}, proxies={}),
)
answers = []
for operation, parameters in asked["calls"]:
    try:
        result = getattr(client, operation)(**parameters)
        result.pop("ResponseMetadata", None)
        answers.append({"result": result})
    except ClientError as error:
        answers.append({"error": error.response["Error"]["Code"]})
print(json.dumps(answers, default=str))
