"""A plain Skaro server for the tests: the protocol without any extension.

It is written on the packages websockets and cbor alone and shares no code with
the programs under test. It has no message ids, writes dates as RFC 3339 text,
answers out of order, pushes between a request and its reply, and adds fields
and pushes that no client knows: all of that the protocol allows.

It prints its URL on one line and ends when its standard input closes. Users,
passwords and conferences are test data and therefore arguments.

A message whose body is "!info TEXT" or "!error TEXT" is not delivered: the
server pushes an info or error to everybody in the dialog instead. A body
"!binary HEX" is delivered as a byte string.
"""

import argparse
import asyncio
import datetime
import hashlib
import hmac
import http
import os
import secrets
import sys

import cbor
import websockets
from websockets.asyncio.server import serve

PATH = "/skaro_client/"

# How many turns of the event loop a reply is held back for the next request.
TURNS = 50


def taken(path):
    """A status and a number of seconds from a file, which is removed; or None."""
    try:
        with open(path) as f:
            status, seconds = f.read().split()
        os.remove(path)
        return int(status), int(seconds)
    except FileNotFoundError:
        return None


class Server:
    """What all connections share: users, sessions, conferences, messages."""

    def __init__(self, options):
        self.options = options
        self.users = dict(user.split(":", 1) for user in options.user)
        self.conferences = {}
        for conference in options.conference:
            name, members = conference.split(":", 1)
            self.conferences[name] = members.split(",")
        self.sessions = {}  # SID to login
        self.messages = []
        self.connections = set()

    async def handle(self, ws):
        connection = Connection(self, ws)
        self.connections.add(connection)
        try:
            await connection.run()
        except websockets.ConnectionClosed:
            pass
        finally:
            self.connections.discard(connection)

    async def push(self, logins, fields, but=None):
        for connection in list(self.connections):
            if connection.login in logins and connection is not but:
                try:
                    await connection.write(fields)
                except websockets.ConnectionClosed:
                    pass


class Connection:
    def __init__(self, server, ws):
        self.server = server
        self.ws = ws
        self.login = None
        self.challenge = secrets.token_hex(16)
        self.requests = 0
        self.tasks = set()

    async def write(self, fields):
        await self.ws.send(cbor.dumps(fields))

    async def run(self):
        if not await self.misbehave():
            return
        extensions = {"extensions": ["nonce"]} if self.server.options.nonce else {}
        await self.write({"type": "check_connection", "token": self.challenge, **extensions})
        async for data in self.ws:
            request = cbor.loads(data)
            self.requests += 1
            if request["type"] == self.server.options.drop:
                self.ws.transport.abort()
                return
            if request["type"] == self.server.options.mute:
                continue
            if request["type"] == self.server.options.slow:
                await self.next_request()
            fields = await self.answer(request)
            # A task of its own, so that the next request is read meanwhile.
            task = asyncio.create_task(self.reply(request, self.requests, fields))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def misbehave(self):
        """Does what --bad asks for; True where the connection may go on."""
        match self.server.options.bad:
            case "text":
                await self.ws.send("Welcome to the chat!")
            case "garbage":
                await self.ws.send(b"\xff\x00garbage")
            case "no-greeting":
                await self.write({"type": "info", "info": "hello"})
            case "close":
                await self.ws.close(1000, "not today")
                return False
            case "silent":
                pass
            case _:
                return True
        await self.ws.wait_closed()
        return False

    async def next_request(self):
        """Waits until the next request came, or a while passed."""
        before = self.requests
        for _ in range(TURNS):
            if self.requests != before:
                return
            await asyncio.sleep(0)

    async def reply(self, request, number, fields):
        try:
            if self.login is not None:
                await self.write({"type": "changed_user_data", "user": {"login": self.login}})
                await self.write({"type": "weather_report", "sky": ["blue", None, 1.5]})
            if number % 2:
                await self.next_request()
                await asyncio.sleep(0)  # the reply to that one goes first
            await self.write({
                "type": "request", "for": request["type"], "id": request["on_request"],
                "server_load": 0.25, "blob": b"\x00\xff", **fields,
            })
        except websockets.ConnectionClosed:
            pass

    async def answer(self, request):
        """The fields of the reply, once what was asked for is done."""
        typ = request["type"]
        if typ == "register_type":
            return {"status": "200 OK", "register_type": self.server.options.register_type}
        if typ == "authorize":
            return self.authorize(request)
        if typ == "session_restore":
            return self.session_restore(request)
        if self.login is None:
            return {"status": "401 Unauthorized", "info": "log in first"}
        if typ == "get_contacts":
            return {"status": "200 OK", "data": [
                {"login": login, "name": login.title(), "avatar": b"\x89PNG", "mood": None}
                for login in self.server.users if login != self.login
            ]}
        if typ == "get_history":
            return self.get_history(request)
        if typ == "send_message":
            return await self.send_message(request)
        return {"status": "501 Not Implemented", "info": "no such request: " + typ}

    def authorize(self, request):
        password = self.server.users.get(request["login"])
        if password is not None:
            want = hmac.new(password.encode(), self.challenge.encode(), hashlib.sha512).hexdigest()
            if hmac.compare_digest(want, request["password"]):
                return self.authorized(request["login"])
        return {"status": "403 Forbidden", "info": "wrong login or password"}

    def session_restore(self, request):
        login = self.server.sessions.get(request["sid"])
        if login is None:
            return {"status": "403 Forbidden", "info": "no such session"}
        return self.authorized(login)

    def authorized(self, login):
        sid = secrets.token_hex(16)
        self.server.sessions[sid] = login
        self.login = login
        return {"status": "200 OK", "session_id": sid, "user": {"login": login, "theme": "dark"}}

    def get_history(self, request):
        other = request["login"]
        if other in self.server.conferences:
            return {"status": "200 OK", "history": [m for m in self.server.messages if m["to"] == other]}
        if other not in self.server.users:
            return {"status": "404 Not Found", "info": "no such user"}
        both = {self.login, other}
        return {"status": "200 OK", "history": [
            m for m in self.server.messages if {m["from"]["login"], m["to"]} == both
        ]}

    async def send_message(self, request):
        busy = taken("refuse")
        if busy:
            return {"status": f"{busy[0]} Busy", "info": "not now", "retry_after": busy[1]}
        to, body = request["to"], request["body"]
        sender = {"login": self.login, "status_line": "at work"}
        if to in self.server.conferences:
            sender["in_conference"] = to
            logins = set(self.server.conferences[to])
        elif to in self.server.users:
            logins = {to}
        else:
            return {"status": "404 Not Found", "info": "no such user"}
        logins.add(self.login)
        for kind in "info", "error":
            if body.startswith("!" + kind + " "):
                await self.server.push(logins, {"type": kind, "info": body.split(" ", 1)[1]})
                return {"status": "200 OK"}
        if body.startswith("!binary "):
            body = bytes.fromhex(body.split(" ", 1)[1])
        date = datetime.datetime.now(datetime.timezone.utc).isoformat().replace("+00:00", "Z")
        message = {"from": sender, "to": to, "body": body, "date": date, "font": {"size": 12}}
        self.server.messages.append(message)
        await self.server.push(logins, {"type": "show_message", **message}, but=self)
        return {"status": "200 OK", "date": date}


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("address", metavar="HOST:PORT")
    parser.add_argument("--user", action="append", default=[], metavar="LOGIN:PASSWORD")
    parser.add_argument("--conference", action="append", default=[], metavar="NAME:LOGIN,LOGIN")
    parser.add_argument("--register-type", default="open", metavar="WORD")
    parser.add_argument("--bad", choices=["http404", "text", "garbage", "no-greeting", "silent", "close"],
                        help="be no Skaro server, in this way")
    parser.add_argument("--drop", metavar="TYPE", help="cut the connection when a request of this type comes")
    parser.add_argument("--mute", metavar="TYPE", help="never answer a request of this type")
    parser.add_argument("--slow", metavar="TYPE", help="do a request of this type only when more time has passed")
    parser.add_argument("--nonce", action="store_true", help="claim to know the nonces of messages")
    options = parser.parse_args()

    def process_request(connection, request):
        if options.bad == "http404" or request.path != PATH:
            return connection.respond(http.HTTPStatus.NOT_FOUND, "There is no such page here.\n")
        busy = taken("busy")
        if busy:
            response = connection.respond(http.HTTPStatus(busy[0]), "Not now.\n")
            response.headers["Retry-After"] = str(busy[1])
            return response
        return None

    # Compression is off by default in small servers; the client must not need it.
    host, _, port = options.address.partition(":")
    async with serve(Server(options).handle, host, int(port), process_request=process_request,
                     compression=None, max_size=16 << 20):
        print(f"ws://{options.address}{PATH}", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
