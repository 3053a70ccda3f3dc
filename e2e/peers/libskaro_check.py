"""libskaro 0.3, the reference client, as it was published, against a server.

    libskaro_check.py check URL ALICE PASSWORD BOB PASSWORD
        every request and push of the protocol, one line a step; the exit
        status is 0 only when every step ran and held
    libskaro_check.py send URL LOGIN PASSWORD TO TEXT
        sends one message and waits for its confirmation
    libskaro_check.py receive URL LOGIN PASSWORD
        prints "ready" once logged in, then the first message as one JSON line
    libskaro_check.py conference URL LOGIN PASSWORD NAME TEXT
        prints "ready" once logged in, waits for a message in a conference, sends
        one there, and prints what came, then the history, then the contacts
    libskaro_check.py fields URL LOGIN PASSWORD PEER TEXT
        prints "ready" once logged in, waits for a message with fields, answers it,
        and prints the history

Passwords are test data and therefore arguments.
"""

import asyncio
import json
import logging
import sys
import types

# libskaro 0.3 is older than the removal of this decorator from asyncio.
asyncio.coroutine = types.coroutine

import libskaro  # noqa: E402

# Nothing here is slow: this only ends a test that would never end.
DEADLINE = 30


class Peer:
    """A libskaro client whose events can be awaited in order."""

    def __init__(self, url):
        self.client = libskaro.Client(url)
        self.events = {}
        for name in ("connect", "register_type", "received_session_id", "received_user_data", "get_contacts",
                     "get_history", "send_message", "show_message", "info", "error"):
            self.watch(name)

    def watch(self, name):
        queue = self.events[name] = asyncio.Queue()

        def observer(*args):
            queue.put_nowait(args)

        getattr(self.client, "on_" + name).add_observer(observer)

    async def event(self, name):
        """The arguments of the next event of this name."""
        next_event = asyncio.ensure_future(self.events[name].get())
        await asyncio.wait({next_event, self.connection}, timeout=DEADLINE, return_when=asyncio.FIRST_COMPLETED)
        if next_event.done():
            return next_event.result()
        next_event.cancel()
        if self.connection.done():
            raise AssertionError(f"the connection ended before the event {name}: {self.connection.exception()!r}")
        raise AssertionError(f"no event {name} within {DEADLINE} s")

    async def connect(self):
        self.connection = asyncio.ensure_future(self.client.connect())
        await self.event("connect")
        return self

    async def authorize(self, login, password):
        await self.client.authorize({"login": login, "password": password})
        return await self.authorized(login)

    async def authorized(self, login):
        (sid,) = await self.event("received_session_id")
        (user,) = await self.event("received_user_data")
        assert isinstance(sid, str) and sid, sid
        assert user["login"] == login, user
        assert self.client.authorized
        return sid

    async def refused(self, request):
        info, of = await self.event("info")
        assert of == request, of
        assert isinstance(info, str) and info, info
        return info

    async def close(self):
        await self.client.ws.close()
        await asyncio.wait({self.connection}, timeout=DEADLINE)
        self.connection.exception()  # ConnectionClosedOK, which nobody needs to hear of


def step(text):
    print("ok:", text, flush=True)


def check_message(event, dialog, sender, to, body):
    got, data = event
    assert got == dialog, (got, dialog)
    assert data["from"]["login"] == sender, data
    assert data["to"] == to, data
    assert data["body"] == body, data
    assert isinstance(data["id"], int) and data["id"] > 0, data
    assert isinstance(data["date"], (int, float)), data


async def check(url, alice, alice_password, bob, bob_password):
    one = await Peer(url).connect()
    assert isinstance(one.client.token, str) and len(one.client.token) >= 32, "a challenge is too short"
    step("connect: the greeting came, with a challenge")

    await one.client.register_type()
    (word,) = await one.event("register_type")
    assert word in ("open", "invite", "closed"), word
    step(f"register_type before the login: {word}")

    await one.client.get_contacts()
    step("get_contacts before the login refused: " + await one.refused("get_contacts"))

    await one.client.authorize({"login": alice, "password": alice_password + "x"})
    wrong_password = await one.refused("authorize")
    assert not one.client.authorized
    step("authorize with a wrong password refused: " + wrong_password)

    await one.client.authorize({"login": "nobody", "password": alice_password})
    assert await one.refused("authorize") == wrong_password, "a wrong login and a wrong password are told apart"
    step("authorize with an unknown login refused in the same words")

    sid = await one.authorize(alice, alice_password)
    step("authorize accepted on the same connection")

    await one.client.get_contacts()
    (contacts,) = await one.event("get_contacts")
    assert contacts == [], contacts
    step("get_contacts: nobody yet")

    other = await Peer(url).connect()
    await other.authorize(bob, bob_password)
    text = "first line\n  second, with ж, 語 and 🙂\n"
    await one.client.send_message(bob, text, marker=7)
    to, reply, marker = await one.event("send_message")
    assert (to, marker) == (bob, 7), (to, marker)
    assert isinstance(reply["message_id"], int) and isinstance(reply["date"], (int, float)), reply
    step("send_message confirmed, with the message's id and date")

    event = await other.event("show_message")
    check_message(event, alice, alice, bob, text)
    assert event[1]["id"] == reply["message_id"], (event, reply)
    step("a message for us received, its dialog is the sender")

    two = await Peer(url).connect()
    await two.client.session_restore(sid)
    await two.authorized(alice)
    step("session_restore with a good SID on a new connection")

    await one.client.send_message(bob, "second", marker=8)
    await one.event("send_message")
    check_message(await two.event("show_message"), bob, alice, bob, "second")
    check_message(await other.event("show_message"), alice, alice, bob, "second")
    assert one.events["show_message"].empty(), "a connection was shown its own message"
    step("our own message from another connection received, its dialog is the recipient")

    await other.client.send_message(alice, "third")
    await other.event("send_message")
    for peer in one, two:
        check_message(await peer.event("show_message"), bob, bob, alice, "third")
    step("a message for us received on both our connections")

    fourth = await Peer(url).connect()
    await fourth.client.session_restore("no-such-sid")
    info = await fourth.refused("session_restore")
    assert not fourth.client.authorized
    await fourth.authorize(alice, alice_password)
    step("session_restore with an unknown SID refused, and authorize works after it: " + info)

    await two.client.get_history(bob)
    login, history = await two.event("get_history")
    assert login == bob, login
    assert [(m["from"]["login"], m["to"], m["body"]) for m in history] == [
        (alice, bob, text), (alice, bob, "second"), (bob, alice, "third")], history
    ids = [m["id"] for m in history]
    assert ids == sorted(set(ids)), ids
    step("get_history: all three messages, oldest first, ids growing")

    await two.client.get_contacts()
    (contacts,) = await two.event("get_contacts")
    assert [(c["login"], c["online"]) for c in contacts] == [(bob, True)], contacts
    step("get_contacts: whom we wrote to, online")

    await two.client.send_message("nobody", "hello?")
    step("send_message to nobody refused: " + await two.refused("send_message"))

    for peer in one, two, other, fourth:
        assert peer.events["error"].empty(), "the server pushed an error"
        assert peer.events["info"].empty(), "the server pushed an info that nobody asked for"
        await peer.close()
    step("all")


async def send(url, login, password, to, text):
    peer = await Peer(url).connect()
    await peer.authorize(login, password)
    await peer.client.send_message(to, text)
    await peer.event("send_message")
    await peer.close()


async def receive(url, login, password):
    peer = await Peer(url).connect()
    await peer.authorize(login, password)
    print("ready", flush=True)
    dialog, data = await peer.event("show_message")
    print(json.dumps({"dialog": dialog, "from": data["from"]["login"], "to": data["to"], "body": data["body"]},
                     ensure_ascii=False), flush=True)
    await peer.close()


async def conference(url, login, password, name, text):
    peer = await Peer(url).connect()
    await peer.authorize(login, password)
    print("ready", flush=True)
    dialog, data = await peer.event("show_message")
    assert data["from"]["in_conference"] == name, data
    check_message((dialog, data), name, data["from"]["login"], name, data["body"])
    print(dialog, data["from"]["login"], data["body"], sep=": ", flush=True)
    await peer.client.send_message(name, text, marker=9)
    to, reply, marker = await peer.event("send_message")
    assert (to, marker) == (name, 9), (to, marker)
    await peer.client.get_history(name)
    dialog, history = await peer.event("get_history")
    assert dialog == name, dialog
    assert [m["id"] for m in history] == [data["id"], reply["message_id"]], (history, reply)
    for m in history:
        assert m["from"]["in_conference"] == m["to"] == name, m
        print(dialog, m["from"]["login"], m["body"], sep=": ", flush=True)
    await peer.client.get_contacts()
    (contacts,) = await peer.event("get_contacts")
    print("contacts:", *[c["login"] for c in contacts], flush=True)
    assert peer.events["show_message"].empty(), "a connection was shown its own message"
    await peer.close()


async def fields(url, login, password, other, text):
    peer = await Peer(url).connect()
    await peer.authorize(login, password)
    print("ready", flush=True)
    event = await peer.event("show_message")
    check_message(event, other, other, login, event[1]["body"])
    assert event[1]["fields"], event
    await peer.client.send_message(other, text, marker=10)
    to, reply, marker = await peer.event("send_message")
    assert (to, marker) == (other, 10), (to, marker)
    await peer.client.get_history(other)
    dialog, history = await peer.event("get_history")
    assert dialog == other, dialog
    assert [m["id"] for m in history] == [event[1]["id"], reply["message_id"]], (history, reply)
    for m in history:
        print(m["from"]["login"], m["body"], json.dumps(m.get("fields"), sort_keys=True), sep=": ", flush=True)
    assert peer.events["error"].empty(), "the server pushed an error"
    await peer.close()


def main():
    # libskaro hides an AttributeError in an observer; its log would show it.
    logging.basicConfig(level=logging.WARNING)
    command = {"check": check, "send": send, "receive": receive, "conference": conference, "fields": fields}[sys.argv[1]]
    asyncio.run(command(*sys.argv[2:]))


if __name__ == "__main__":
    main()
