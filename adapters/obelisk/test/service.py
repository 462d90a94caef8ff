"""A service that plays operations, and counts how often each is asked for. An operation that was never heard of
starts with its first question, and ends after as many seconds as its name says: `operations/NUMBER-SECONDS`."""

import asyncio
import json
import threading
import time
from collections import Counter


class Service:
    def __init__(self):
        self.polls = Counter()
        self.tokens = Counter()
        self.begun = {}
        self.delay = 0  # of every answer, in seconds
        self.status = None  # of every answer, where it is no operation

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        listen = asyncio.start_server(self.connection, "127.0.0.1", 0, backlog=4096)
        self.server = asyncio.run_coroutine_threadsafe(listen, self.loop).result()
        self.endpoint = "http://127.0.0.1:%d" % self.server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self.close(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    async def close(self):
        self.server.close()
        connections = asyncio.all_tasks() - {asyncio.current_task()}
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def connection(self, reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                line, *headers = head.split("\r\n")
                for header in headers:
                    if header.lower().startswith("authorization:"):
                        self.tokens[header.split(":", 1)[1].strip()] += 1
                name = line.split(" ")[1].removeprefix("/v1/").partition("?")[0]
                status, body = self.answer(name)
                if self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(
                    f"HTTP/1.1 {status} .\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
                    + body
                )
                await writer.drain()
        except (asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def answer(self, name):
        now = time.time()
        self.polls[name] += 1
        if self.status:
            return self.status, json.dumps({"error": {"code": self.status, "status": "UNAVAILABLE"}}).encode()
        lasts = float(name.rpartition("-")[2])
        operation = {"name": name}
        if now - self.begun.setdefault(name, now) >= lasts:
            operation |= {"done": True, "response": {"@type": "type.googleapis.com/google.protobuf.Struct", "is": name}}
        return 200, json.dumps(operation).encode()
