"""An Obelisk server of a test's own, and the few calls to it that the tests make."""

import json
import os
import secrets
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from server import free_port

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent.parent
OBELISK = os.environ["OBELISK"]
GET = "blocks:google-longrunning/operations@1.0.0.get"
WAIT = "blocks:google-longrunning-wait/operations@1.0.0.wait"
# Between the block and the service there is no proxy, and none between a test and its server.
HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def execution_id():
    """A new one (`E_` and a ULID). Who makes it before the first attempt may submit again without a second run."""
    number = (int(time.time() * 1000) << 80) | secrets.randbits(80)
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    return "E_" + "".join(alphabet[(number >> (5 * place)) & 31] for place in range(25, -1, -1))


class Engine:
    """A server, with the configuration that is in this folder."""

    def __init__(self, home, config, endpoint, deploy=True, token="ya29.secret", **environment):
        self.home = Path(home)
        self.home.mkdir(exist_ok=True)
        self.log_file = self.home / "log"
        self.config = config
        self.deploy = deploy
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "XDG_CACHE_HOME": str(ROOT / "target/tmp/obelisk"),
            "OBELISK__api__listening_addr": f"127.0.0.1:{port}",
            "OPERATIONS_ENDPOINT": endpoint,
            "OPERATIONS_HOST": endpoint.removesuffix("/v1"),
            "GOOGLE_OAUTH_ACCESS_TOKEN": token,
            **environment,
        }

    def start(self):
        command = [OBELISK, "server", "run", "--no-auth", "--server-config", str(HERE / self.config)]
        if self.deploy:
            command += ["--deployment", str(HERE / "deployment.toml")]
        with open(self.log_file, "ab") as log:
            begin = log.tell()
            self.process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
        end = time.monotonic() + 120
        while b"is ready" not in self.log_file.read_bytes()[begin:]:
            if self.process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise RuntimeError(f"obelisk did not start:\n{self.log_file.read_text()}")
            time.sleep(0.05)
        return self

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self):
        """As a power cut would: nothing is put in order."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def submit(self, function, *parameters, id=None):
        id = id or execution_id()
        body = json.dumps({"ffqn": function, "params": parameters}).encode()
        headers = {"content-type": "application/json"}
        HTTP.open(urllib.request.Request(f"{self.url}/v1/executions/{id}", body, headers, method="PUT"), timeout=60).close()
        return id

    def result(self, id, within=60):
        """What came of it: `{"ok": …}`, `{"err": …}` or the engine's own failure."""
        end = time.monotonic() + within
        while True:
            try:
                with HTTP.open(f"{self.url}/v1/executions/{id}", timeout=60) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                error.close()
                if error.code != 425 or time.monotonic() > end:  # 425: not finished
                    raise
            time.sleep(0.05)

    def call(self, function, *parameters, within=60):
        return self.result(self.submit(function, *parameters), within)

    def polls(self, id):
        """The executions of the block that a wait has made so far."""
        query = f"execution_id_prefix={id}.&show_derived=true&length=100"
        with HTTP.open(f"{self.url}/v1/executions?{query}", timeout=60) as answer:
            return [execution for execution in json.load(answer) if execution["ffqn"] == GET]
