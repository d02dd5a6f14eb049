"""Runs drift and SoD, or read_csv alone, in DuckDB; prints one JSON object with the cost of each step."""
import json
import resource
import sys
import time

import duckdb


def usage():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime, time.perf_counter(), used.ru_maxrss * 1024


def step(connection, *statements):
    cpu, wall, _ = usage()
    result = None
    for statement in statements:
        result = connection.execute(statement).fetchall()
    after_cpu, after_wall, _ = usage()
    return {"cpu_seconds": after_cpu - cpu, "wall_seconds": after_wall - wall}, result


def sums(connection, source):
    return connection.execute(
        f"SELECT count(*), coalesce(sum((user_id::UBIGINT + 1) * (entitlement_id::UBIGINT + 1)), 0)::UBIGINT FROM {source}"
    ).fetchone()


def main():
    job, folder, now = sys.argv[1], sys.argv[2], int(sys.argv[3])
    connection = duckdb.connect()
    connection.execute("SET enable_progress_bar = false")
    connection.execute("SET threads = 2")
    connection.execute("SET preserve_insertion_order = false")

    def load(table, columns):
        names = ", ".join(f"'{name}': 'UINTEGER'" for name in columns)
        return f"CREATE TABLE {table} AS SELECT * FROM read_csv('{folder}/{table}.csv', header = true, columns = {{{names}}})"

    if job == "read_csv":
        cost, _ = step(connection, load("observed", ["user_id", "entitlement_id"]))
        rows = connection.execute("SELECT count(*) FROM observed").fetchone()[0]
        print(json.dumps({"cost": cost, "rows": rows}))
        return

    loaded, _ = step(
        connection,
        load("observed", ["user_id", "entitlement_id"]),
        load("assignments", ["user_id", "role_id", "ends"]),
        load("roles", ["role_id", "entitlement_id"]),
        load("explicit", ["user_id", "entitlement_id", "ends"]),
        load("reviews", ["user_id", "entitlement_id"]),
        load("toxic", ["pair", "left_id", "right_id"]),
    )
    justify, _ = step(
        connection,
        f"""CREATE TABLE justified AS
            SELECT user_id, entitlement_id FROM (
                SELECT user_id, entitlement_id FROM assignments JOIN roles USING (role_id) WHERE ends > {now}
                UNION
                SELECT user_id, entitlement_id FROM explicit WHERE ends > {now})
            ANTI JOIN reviews USING (user_id, entitlement_id)""",
    )
    compare, _ = step(
        connection,
        "CREATE TABLE extra AS SELECT * FROM observed ANTI JOIN justified USING (user_id, entitlement_id)",
        "CREATE TABLE missing AS SELECT * FROM justified ANTI JOIN observed USING (user_id, entitlement_id)",
    )
    toxic, _ = step(
        connection,
        """CREATE TABLE violations AS SELECT one.user_id, pair AS entitlement_id FROM toxic
            JOIN observed one ON one.entitlement_id = left_id
            JOIN observed two ON two.entitlement_id = right_id AND two.user_id = one.user_id""",
    )
    extra, missing, violations = (sums(connection, table) for table in ("extra", "missing", "violations"))
    print(
        json.dumps(
            {
                "version": duckdb.__version__,
                "load": loaded,
                "justify": justify,
                "compare": compare,
                "toxic": toxic,
                "peak_bytes": usage()[2],
                "drift": {
                    "extra": extra[0],
                    "extra_sum": int(extra[1]),
                    "missing": missing[0],
                    "missing_sum": int(missing[1]),
                },
                "sod": {"toxic": violations[0], "toxic_sum": int(violations[1])},
            }
        )
    )


main()
