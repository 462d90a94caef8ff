"""Two servers on one PostgreSQL wait for N operations, and one of them is killed when half of the waits are over."""

import concurrent.futures
import http.client
import json
import os
import pwd
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
from collections import Counter
from pathlib import Path

from engine import GET, WAIT, Engine, execution_id
from service import Service


class Postgres:
    """A PostgreSQL of its own, on a socket in a folder of its own."""

    def __enter__(self):
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin")) or [Path(shutil.which("initdb") or "initdb").parent]
        self.bin = found[-1]
        self.folder = tempfile.mkdtemp(prefix="postgres-")
        # It does not run as root.
        self.user = "postgres" if os.getuid() == 0 else None
        if self.user:
            account = pwd.getpwnam(self.user)
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        data = f"{self.folder}/data"
        self.run("initdb", "--pgdata", data, "--username", "postgres", "--auth", "trust", "--encoding", "UTF8")
        options = f"-c listen_addresses= -c unix_socket_directories={self.folder} -c port=5432"
        self.run("pg_ctl", "--pgdata", data, "--log", f"{self.folder}/log", "--wait", "--options", options, "start")
        return self

    def __exit__(self, *_):
        self.run("pg_ctl", "--pgdata", f"{self.folder}/data", "--mode", "immediate", "stop")
        shutil.rmtree(self.folder)

    def run(self, program, *arguments):
        subprocess.run(
            [self.bin / program, *arguments], check=True, user=self.user, cwd=self.folder, stdout=subprocess.DEVNULL
        )

    def rows(self, query):
        psql = ["psql", "--host", self.folder, "--username", "postgres", "--no-psqlrc", "--csv", "--tuples-only"]
        answer = subprocess.run([*psql, "--command", query, "obelisk"], check=True, capture_output=True, text=True)
        return [line.split(",") for line in answer.stdout.splitlines()]

    def number(self, query):
        return int(self.rows(query)[0][0])


def main(count):
    names = {execution_id(): f"operations/{i}-{5 + i * 7919 % 5501 / 100}" for i in range(count)}
    with tempfile.TemporaryDirectory() as home, Service() as service, Postgres() as postgres:
        database = {"POSTGRES_HOST": postgres.folder, "POSTGRES_USER": "postgres"}
        service.delay = 0.5  # as long as a service takes, so that questions are under way when a server dies
        # The first brings the deployment, the second takes the one that is active.
        engines = [
            Engine(Path(home) / f"server-{i}", "server.postgres.toml", service.endpoint, deploy=i == 0, **database).start()
            for i in range(2)
        ]
        try:
            measure(names, service, postgres, engines)
        except BaseException:
            for started in engines:
                print(started.log_file.read_text()[-3000:], file=sys.stderr)
            raise
        finally:
            for started in engines:
                if started.process.poll() is None:
                    started.stop()


def measure(names, service, postgres, engines):
    count = len(names)
    over = f"SELECT count(*) FROM t_state WHERE ffqn = '{WAIT}' AND state = 'finished'"
    begun = time.time()

    def submit(engine, id):
        """To the other server where this one is gone: the same id is never run twice."""
        try:
            engine.submit(WAIT, names[id], 3_600_000, id=id)
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError):
            if engine is engines[0]:
                raise
            engines[0].submit(WAIT, names[id], 3_600_000, id=id)
        return time.time()

    # Many waits are over before all are submitted, so the server is killed while they are.
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        submitted = [pool.submit(submit, engines[i % 2], id) for i, id in enumerate(names)]
        while postgres.number(over) < count / 2:
            time.sleep(0.5)
            for one in submitted:
                if one.done():
                    one.result()  # or what it failed with
        engines[1].kill()
        killed = time.time()
        missing = sum(not one.done() for one in submitted)
        done = postgres.number(over)
        held = postgres.rows("SELECT ffqn, count(*) FROM t_state WHERE state = 'locked' GROUP BY ffqn")
        held = {ffqn: int(number) for ffqn, number in held}
        print(f"after {killed - begun:.0f} s and {done:,} ends one server was killed", flush=True)
        print(f"not submitted then: {missing:,} waits", flush=True)
        print(f"under way then, on both: {held.get(GET, 0)} questions, {held.get(WAIT, 0)} steps of waits", flush=True)
    print(f"submitting took {max(one.result() for one in submitted) - begun:.0f} s", flush=True)

    stuck = time.time()
    while (now := postgres.number(over)) < count:
        if now > done:
            done, stuck = now, time.time()
        if time.time() - stuck > 300:
            sys.exit(f"lost: {count - now} waits did not end")
        time.sleep(0.5)
    took = time.time() - begun

    ends = Counter(id for (id,) in postgres.rows("SELECT execution_id FROM t_execution_log WHERE variant = 'finished'") if "." not in id)
    reported = Counter()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for id, result in zip(names, pool.map(engines[0].result, names)):
            outputs = result.get("ok") or sys.exit(f"{id} ended with {result}")
            if outputs["done"] and json.loads(outputs["response"])["is"] == names[id]:
                reported[outputs["name"]] += 1
    once = sum(1 for id, name in names.items() if reported[name] == 1 and ends[id] == 1)

    # An answer that the engine holds is the result of an execution of the block; of a lost one it holds a failure of
    # its own, or a later run's answer.
    held = "result_kind IN ('\"ok\"', '{\"err\": \"error\"}')"
    answers = dict(
        postgres.rows(f"SELECT split_part(execution_id, '.', 1), count(*) FROM t_state WHERE ffqn = '{GET}' AND {held} GROUP BY 1")
    )
    kinds = postgres.rows(f"SELECT result_kind, count(*) FROM t_state WHERE ffqn = '{GET}' GROUP BY 1 ORDER BY 2 DESC")
    twice = sum(max(0, service.polls[name] - int(answers.get(id, 0))) for id, name in names.items())
    ended = postgres.rows(f"SELECT execution_id, extract(epoch FROM pending_expires_finished) FROM t_state WHERE ffqn = '{WAIT}'")
    late = sorted(float(at) - service.begun[names[id]] - float(names[id].rpartition("-")[2]) for id, at in ended)

    print(f"reported exactly once: {once:,} of {count:,}; lost: {count - len(reported):,}")
    print(f"took {took:.0f} s; an operation lasts 5 to 60 s")
    print(f"seen done after its end: median {statistics.median(late):.1f} s, 99 % within {late[int(count * 0.99)]:.1f} s, all within {late[-1]:.1f} s")
    print(f"polls: {service.polls.total():,}, so {service.polls.total() / count:.1f} for an operation and {service.polls.total() / took:.0f} a second")
    print(f"polls made twice, since their answer was lost: {twice}")
    print("executions of the block: " + ", ".join(f"{number} {kind}" for *kind, number in kinds))
    if once != count or len(reported) != count:
        sys.exit("not every operation was reported exactly once")


main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
