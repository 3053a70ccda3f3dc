package hostile

import (
	"math"
	"strings"
)

// greetingCases are about the first frame.
var greetingCases = []peerCase{
	{"a server without extensions", trick{at: upgraded, before: true, plain: true}, fine, ""},
	{"an empty frame", onUpgrade(send(object())), notSkaro, ""},
	{"no type", onUpgrade(send(object("token", "T"))), notSkaro, ""},
	{"a type that is a number", onUpgrade(send(object("type", 1, "token", "T"))), notSkaro, ""},
	{"a type that is null", onUpgrade(send(object("type", nil, "token", "T"))), notSkaro, ""},
	{"a type of bytes", onUpgrade(send(object("type", []byte("check_connection"), "token", "T"))), notSkaro, ""},
	{"a tagged type", onUpgrade(send(object("type", tag(24, "check_connection"), "token", "T"))), notSkaro, ""},
	{"a type in capitals", onUpgrade(send(object("type", "CHECK_CONNECTION", "token", "T"))), notSkaro, ""},
	{"a type of 1 MB", onUpgrade(large(object("type", head(3, 1<<20)), 1<<10, raw(strings.Repeat("a", 1<<10)))), notSkaro, ""},
	{"a type of controls", onUpgrade(send(object("type", "\x1b[31m\r\n\u202e", "token", "T"))), notSkaro, ""},
	{"another type", onUpgrade(send(object("type", "hello", "token", "T"))), notSkaro, ""},
	{"a push", onUpgrade(send(object("type", "info", "info", "hello"))), notSkaro, ""},
	{"a message", onUpgrade(send(pushed(1))), notSkaro, ""},
	{"a reply", onUpgrade(send(object("type", "request", "for", "authorize", "id", 1, "status", "200 OK"))), notSkaro, ""},
	{"no challenge", onUpgrade(send(object("type", "check_connection"))), notSkaro, ""},
	{"a challenge that is a number", onUpgrade(send(greeting(1))), notSkaro, ""},
	{"a challenge that is null", onUpgrade(send(greeting(nil))), notSkaro, ""},
	{"a challenge of bytes", onUpgrade(send(greeting([]byte("T")))), notSkaro, ""},
	{"a challenge in a list", onUpgrade(send(greeting([]string{"T"}))), notSkaro, ""},
	{"a tagged challenge", onUpgrade(send(greeting(tag(24, "T")))), notSkaro, ""},
	{"an empty challenge", onUpgrade(send(greeting(""))), fine, ""},
	{"a challenge of controls", onUpgrade(send(greeting("\x00\x1b[31m\r\n\u202e"))), fine, ""},
	{"a challenge that is not UTF-8", onUpgrade(send(greeting(raw("\x63\xff\xfe\xfd")))), fine, ""},
	{"a challenge of 4 KiB", onUpgrade(send(greeting(strings.Repeat("T", 4<<10)))), fine, ""},
	{"a challenge of more than 4 KiB", onUpgrade(send(greeting(strings.Repeat("T", 4<<10+1)))), notSkaro, ""},
	{"a challenge of 15 MiB", onUpgrade(large(object("type", "check_connection", "token", head(3, 15<<20)), 15<<10, raw(strings.Repeat("T", 1<<10)))), notSkaro, ""},
	{"the challenge twice", onUpgrade(send(object("type", "check_connection", "token", "T", "token", "U"))), notSkaro, ""},
	{"the type twice", onUpgrade(send(object("type", "check_connection", "type", "check_connection", "token", "T"))), notSkaro, ""},
	{"an unknown key twice", onUpgrade(send(greeting("T", "x", 1, "x", 1))), notSkaro, ""},
	{"a key of 1 MB twice", onUpgrade(send(greeting("T", strings.Repeat("a", 1<<20), 1, strings.Repeat("a", 1<<20), 1))), notSkaro, ""},
	{"a key of controls twice", onUpgrade(send(greeting("T", "\x1b[31m\n", 1, "\x1b[31m\n", 1))), notSkaro, ""},
	{"keys that are numbers", onUpgrade(send(object(1, "check_connection", 2, "T"))), notSkaro, ""},
	{"a key of bytes", onUpgrade(send(object("type", "check_connection", "token", "T", []byte("x"), 1))), notSkaro, ""},
	{"a key that is a list", onUpgrade(send(object("type", "check_connection", "token", "T", []string{"x"}, 1))), notSkaro, ""},
	{"the server is a number", onUpgrade(send(object("type", "check_connection", "token", "T", "server", 7))), fine, ""},
	{"the server has 300 KB", onUpgrade(send(object("type", "check_connection", "token", "T", "server", strings.Repeat("a", 300_000)))), fine, ""},
	{"the server has controls", onUpgrade(send(object("type", "check_connection", "token", "T", "server", "\x1b[31m\r\n\u202e"))), fine, ""},
	{"the extensions are text", onUpgrade(send(object("type", "check_connection", "token", "T", "extensions", "updates"))), fine, ""},
	{"the extensions are a map", onUpgrade(send(object("type", "check_connection", "token", "T", "extensions", object("updates", true)))), fine, ""},
	{"the extensions are null", onUpgrade(send(object("type", "check_connection", "token", "T", "extensions", nil))), fine, ""},
	{"the extensions are odd", onUpgrade(send(object("type", "check_connection", "token", "T", "extensions", []any{1, nil, []int{1}, "updates", "\x1b", ""}))), fine, ""},
	{"an extension twice", onUpgrade(send(object("type", "check_connection", "token", "T", "extensions", []string{"updates", "updates"}))), fine, ""},
	{"100,000 extensions", onUpgrade(large(object("type", "check_connection", "token", "T", "extensions", head(4, 100_000)), 100_000, "\x63abc")), fine, ""},
	{"4,000 unknown fields", onUpgrade(manyFields(4000)), fine, ""},
	{"100,000 unknown fields", onUpgrade(manyFields(100_000)), notSkaro, ""},
	{"a map without a length", onUpgrade(send("\xbf" + item("type") + item("check_connection") + item("token") + item("T") + "\xff")), fine, ""},
	{"text in parts", onUpgrade(send(object("type", raw("\x7f\x65check\x6b_connection\xff"), "token", "T"))), fine, ""},
	{"lengths with bytes to spare", onUpgrade(send("\xbb\x00\x00\x00\x00\x00\x00\x00\x02" + item("type") + "\x7a\x00\x00\x00\x10check_connection" + item("token") + item("T"))), fine, ""},
	{"a greeting behind a tag", onUpgrade(send(tag(55799, greeting("T")))), notSkaro, ""},
	{"a greeting in a list", onUpgrade(send(list(greeting("T")))), notSkaro, ""},
	{"a greeting in bytes", onUpgrade(send(item([]byte(greeting("T"))))), notSkaro, ""},
	{"two greetings in a frame", onUpgrade(send(greeting("T") + greeting("T"))), notSkaro, ""},
	{"two greetings", onUpgrade(send(greeting("T")), send(greeting("U"))), fine, ""},
	{"a byte behind the greeting", onUpgrade(send(greeting("T") + "\x00")), notSkaro, ""},
	{"a greeting without its last byte", onUpgrade(send(greeting("T")[:len(greeting("T"))-1])), notSkaro, ""},
	{"a map that says it has more", onUpgrade(send("\xb8\xff" + greeting("T")[1:])), notSkaro, ""},
	{"a map that says it has 2^64-1", onUpgrade(send("\xbb\xff\xff\xff\xff\xff\xff\xff\xff" + greeting("T")[1:])), notSkaro, ""},
	{"a list that says it has 2^63", onUpgrade(send(greeting("T", "x", raw("\x9b\x80\x00\x00\x00\x00\x00\x00\x00"))), hangUp), notSkaro, ""},
	{"text that says it has 2^63-1", onUpgrade(send(greeting(raw("\x7b\x7f\xff\xff\xff\xff\xff\xff\xff")))), notSkaro, ""},
	{"a map of half a pair", onUpgrade(send("\xbf" + item("type") + "\xff")), notSkaro, ""},
	{"a break alone", onUpgrade(send("\xff")), notSkaro, ""},
	{"a reserved head", onUpgrade(send(greeting("T", "x", raw("\x1c")))), notSkaro, ""},
	{"a simple value in two bytes that fits into one", onUpgrade(send(greeting("T", "x", raw("\xf8\x14")))), notSkaro, ""},
	{"text in parts of bytes", onUpgrade(send(greeting("T", "x", raw("\x7f\x41a\xff")))), notSkaro, ""},
	{"text in parts of parts", onUpgrade(send(greeting("T", "x", raw("\x7f\x7f\x61a\xff\xff")))), notSkaro, ""},
	{"30 lists in each other", onUpgrade(send(greeting("T", "x", nested(30)))), fine, ""},
	{"40 lists in each other", onUpgrade(send(greeting("T", "x", nested(40)))), notSkaro, ""},
	{"a million lists in each other", onUpgrade(send(greeting("T", "x", nested(1_000_000)))), notSkaro, ""},
	{"a million tags in each other", onUpgrade(send(greeting("T", "x", raw(strings.Repeat("\xc6", 1_000_000))+"\x00"))), notSkaro, ""},
	{"a million empty lists", onUpgrade(large(greetingWith("x")+head(4, 1_000_000), 1_000_000, "\x80")), fine, ""},
	{"2^20 empty lists", onUpgrade(large(greetingWith("x")+head(4, 1<<20), 1<<20, "\x80")), notSkaro, ""},
	{"16 million numbers", onUpgrade(large(greetingWith("x")+head(4, 16_000_000), 16_000, raw(strings.Repeat("\x00", 1000)))), notSkaro, ""},
	{"2^20 empty maps", onUpgrade(large(greetingWith("x")+head(4, 1<<20), 1<<20, "\xa0")), notSkaro, ""},
	{"15 MiB of bytes", onUpgrade(large(greetingWith("x")+head(2, 15<<20), 15<<10, raw(strings.Repeat("\x00", 1<<10)))), fine, ""},
}

func nested(n int) raw { return raw(strings.Repeat("\x81", n)) + "\x00" }

// greetingWith is a greeting up to the value of its last field.
func greetingWith(field string) raw {
	g := greeting("T", field, 0)
	return g[:len(g)-1]
}

// manyFields sends a greeting with n unknown fields.
func manyFields(n int) act {
	return func(p *peer) {
		var g strings.Builder
		g.WriteString(string(head(5, n+2) + object("type", "check_connection", "token", "T")[1:]))
		for i := range n {
			g.WriteString(string(item("field "+itoa(i+1)) + "\x00"))
		}
		p.send(raw(g.String()))
	}
}

func itoa(n int) string {
	text := ""
	for ; n > 0; n /= 10 {
		text = string(rune('0'+n%10)) + text
	}
	return text
}

const (
	refusedLogin = "333333333"
	busyLogin    = "555555555"
	noID         = "TTttttttt" // a reply that belongs to no request
)

// loginCases are about the reply to the login.
var loginCases = []peerCase{
	{"400", onLogin(reply("status", "400 Bad Request")), refusedLogin, ""},
	{"401", onLogin(reply("status", "401 Unauthorized", "info", "no")), refusedLogin, ""},
	{"403", onLogin(reply("status", "403 Forbidden")), refusedLogin, ""},
	{"404", onLogin(reply("status", "404 Not Found")), refusedLogin, ""},
	{"429", onLogin(reply("status", "429 Too Many Requests", "retry_after", math.MaxInt64)), busyLogin, ""},
	{"500", onLogin(reply("status", "500 Internal Server Error")), busyLogin, ""},
	{"501", onLogin(reply("status", "501 Not Implemented")), refusedLogin, ""},
	{"503", onLogin(reply("status", "503 Service Unavailable", "retry_after", -1)), busyLogin, ""},
	{"a status of one digit", onLogin(reply("status", "2")), refusedLogin, ""},
	{"a status of letters", onLogin(reply("status", "OK")), refusedLogin, ""},
	{"a status with a space before it", onLogin(reply("status", " 200 OK")), refusedLogin, ""},
	{"a status of 201", onLogin(reply("status", "201 Created")), refusedLogin, ""},
	{"a status of other digits", onLogin(reply("status", "٢٠٠")), refusedLogin, ""},
	{"a status of 200 alone", onLogin(reply("status", "200")), fine, ""},
	{"a status of 1 MB", onLogin(reply("status", strings.Repeat("a", 1<<20))), refusedLogin, ""},
	{"a status of controls", onLogin(reply("status", "\x1b[31m\r\n")), refusedLogin, ""},
	{"an info of 1 MB", onLogin(reply("status", "401 Unauthorized", "info", strings.Repeat("a", 1<<20))), refusedLogin, ""},
	{"an info of controls", onLogin(reply("status", "401 Unauthorized", "info", "\x1b[31m\r\nskaroctl: all is well\n")), refusedLogin, ""},
	{"an info that is a number", onLogin(reply("status", "401 Unauthorized", "info", 7)), refusedLogin, ""},
	{"no status", onLogin(reply("status", gone)), wrongLogin, ""},
	{"an empty status", onLogin(reply("status", "")), wrongLogin, ""},
	{"a status that is a number", onLogin(reply("status", 200)), wrongLogin, ""},
	{"a status that is null", onLogin(reply("status", nil)), wrongLogin, ""},
	{"a status of bytes", onLogin(reply("status", []byte("200 OK"))), wrongLogin, ""},
	{"a status in a list", onLogin(reply("status", []string{"200 OK"})), wrongLogin, ""},
	{"no id", onLogin(reply("id", gone)), wrongLogin, ""},
	{"an id that is text", onLogin(reply("id", "1")), wrongLogin, ""},
	{"an id that is null", onLogin(reply("id", nil)), wrongLogin, ""},
	{"an id that is a fraction", onLogin(reply("id", 1.5)), wrongLogin, ""},
	{"an id of 2^63", onLogin(reply("id", uint64(1<<63))), wrongLogin, ""},
	{"an id of zero", onLogin(reply("id", 0)), noID, ""},
	{"a negative id", onLogin(reply("id", -1)), noID, ""},
	{"an id of 2^63-1", onLogin(reply("id", math.MaxInt64)), noID, ""},
	{"an id that was never used", onLogin(reply("id", 99)), noID, ""},
	{"for another request", onLogin(reply("for", "send_message")), wrongLogin, ""},
	{"no for", onLogin(reply("for", gone)), fine, ""},
	{"a for that is a number", onLogin(reply("for", 7)), fine, ""},
	{"the reply twice", onLogin(answer, answer), fine, ""},
	{"the reply a thousand times", onLogin(func(p *peer) {
		for range 1000 {
			p.answer()
		}
	}), fine, ""},
	{"a refusal, then the reply", onLogin(reply("status", "401 Unauthorized"), answer), refusedLogin, ""},
	{"the reply, then a refusal", onLogin(answer, reply("status", "401 Unauthorized")), fine, ""},
	{"the reply never comes", onLogin(nothing), noID, ""},
	{"no SID", onLogin(reply("session_id", gone)), fine, ""},
	{"a SID that is a number", onLogin(reply("session_id", 7)), fine, ""},
	{"an empty SID", onLogin(reply("session_id", "")), fine, ""},
	{"a SID of controls", onLogin(reply("session_id", "\x1b[31m\x00\r\n")), fine, ""},
	{"a SID of 4 KiB", onLogin(reply("session_id", strings.Repeat("s", 4<<10))), fine, ""},
	{"a SID of more than 4 KiB", onLogin(reply("session_id", strings.Repeat("s", 4<<10+1))), wrongLogin, ""},
	{"a SID of 1 MiB", onLogin(bulk("session_id", head(3, 1<<20), 1<<10, raw(strings.Repeat("s", 1<<10)))), wrongLogin, ""},
	{"a SID of 15 MiB", onLogin(bulk("session_id", head(3, 15<<20), 15<<10, raw(strings.Repeat("s", 1<<10)))), wrongLogin, ""},
	{"no user", onLogin(reply("user", gone)), fine, ""},
	{"a user that is text", onLogin(reply("user", "alice")), fine, ""},
	{"a user that is null", onLogin(reply("user", nil)), fine, ""},
	{"a user without a login", onLogin(reply("user", object())), fine, ""},
	{"a login that is a number", onLogin(reply("user", object("login", 7))), fine, ""},
	{"an empty login", onLogin(reply("user", object("login", ""))), fine, ""},
	{"a login of controls", onLogin(reply("user", object("login", "\x1b[31m\r\n\u202e"))), fine, ""},
	{"a login of 256 bytes", onLogin(reply("user", object("login", strings.Repeat("a", 256)))), fine, ""},
	{"a login of more than 256 bytes", onLogin(reply("user", object("login", strings.Repeat("a", 257)))), wrongLogin, ""},
	{"a login of 1 MiB", onLogin(reply("user", object("login", strings.Repeat("a", 1<<20)))), wrongLogin, ""},
	{"a login in the user twice", onLogin(reply("user", object("login", "a", "login", "b"))), fine, ""},
	{"a user of a million empty maps", onLogin(bulk("user", head(4, 1_000_000), 1_000_000, "\xa0")), fine, ""},
	{"a user of 2^20 empty maps", onLogin(bulk("user", head(4, 1<<20), 1<<20, "\xa0")), wrongLogin, ""},
	{"a message before the reply", beforeLogin(send(pushed(6))), fine, ""},
	{"1,000 messages before the reply", beforeLogin(repeat(1000, ws(0x82, string(pushed(6))))), fine, ""},
	{"an error before the reply", beforeLogin(send(object("type", "error", "info", "\x1b[31mno"))), fine, ""},
	{"another greeting before the reply", beforeLogin(send(greeting("U"))), fine, ""},
	{"closes after a refusal", onLogin(reply("status", "401 Unauthorized"), hangUp), refusedLogin, ""},
}

const (
	refused      = "555550-55"
	refusedLines = "000001-10" // request prints a refusal too
)

// replyCases are about the replies to other requests.
var replyCases = []peerCase{
	{"400", onRequest(reply("status", "400 Bad Request")), refused, refusedLines},
	{"401", onRequest(reply("status", "401 Unauthorized")), refused, refusedLines},
	{"404", onRequest(reply("status", "404 Not Found", "info", "\x1b[31m\r\nskaroctl: all is well")), refused, refusedLines},
	{"429", onRequest(reply("status", "429 Too Many Requests", "retry_after", math.MaxInt64)), refused, refusedLines},
	{"500", onRequest(reply("status", "500 Internal Server Error", "retry_after", "soon")), refused, refusedLines},
	{"a status of letters", onRequest(reply("status", "OK")), refused, refusedLines},
	{"a status of 1 MB", onRequest(reply("status", strings.Repeat("a", 1<<20))), refused, refusedLines},
	{"an info of 1 MB", onRequest(reply("status", "404 Not Found", "info", strings.Repeat("a", 1<<20))), refused, refusedLines},
	{"no status", onRequest(reply("status", gone)), wrongReply, refusedLines},
	{"an empty status", onRequest(reply("status", "")), wrongReply, refusedLines},
	{"a status that is a number", onRequest(reply("status", 200)), wrongReply, refusedLines},
	{"a status that is null", onRequest(reply("status", nil)), wrongReply, refusedLines},
	{"a status of bytes", onRequest(reply("status", []byte("200 OK"))), wrongReply, refusedLines},
	{"no id", onRequest(reply("id", gone)), wrongReply, ""},
	{"an id that is text", onRequest(reply("id", "2")), wrongReply, ""},
	{"an id that is a fraction", onRequest(reply("id", 2.5)), wrongReply, ""},
	{"an id of 2^63", onRequest(reply("id", uint64(1<<63))), wrongReply, ""},
	{"an id of zero", onRequest(reply("id", 0)), silentReply, ""},
	{"a negative id", onRequest(reply("id", -2)), silentReply, ""},
	{"an id that was never used", onRequest(reply("id", 99)), silentReply, ""},
	{"the id of the login", onRequest(reply("id", 1)), silentReply, ""},
	{"for another request", onRequest(reply("for", "authorize")), wrongReply, refusedLines},
	{"no for", onRequest(reply("for", gone)), "00-00--00", ""},
	{"a for that is a number", onRequest(reply("for", 7)), "00-00--00", ""},
	{"the reply twice", onRequest(answer, answer), fine, ""},
	{"a refusal, then the reply", onRequest(reply("status", "404 Not Found"), answer), "555550055", "000001110"},
	{"the reply, then a refusal", onRequest(answer, reply("status", "404 Not Found")), fine, ""},
	{"the reply never comes", onRequest(nothing), silentReply, ""},
	{"with nonces: the reply never comes", withNonces(nothing), "T--------", ""},
	{"with nonces: closes instead of the reply", withNonces(hangUp), "T--------", ""},
	{"with nonces: resets instead of the reply", withNonces(reset), "T--------", ""},
	{"with nonces: a masked frame instead of the reply", withNonces(say("\x82\x81\x00\x00\x00\x00\xa0")), "T--------", ""},
	{"closes after the reply", onRequest(answer, hangUp), "0-000--00", ""},
	{"a garbled frame after the reply", onRequest(answer, send("\xff")), "0-000--00", ""},
	{"a reply that is no reply", onRequest(send(object("type", "request"))), wrongReply, ""},
	{"a reply that is a list", onRequest(send(list("\x01"))), wrongReply, ""},

	{"a message id of zero", sent("message_id", 0), "00-------", ""},
	{"a negative message id", sent("message_id", -1), "00-------", ""},
	{"a message id of 2^63-1", sent("message_id", math.MaxInt64), "00-------", ""},
	{"a message id of 2^64-1", sent("message_id", uint64(math.MaxUint64)), "00-------", ""},
	{"a message id of 2^70", sent("message_id", raw("\xc2\x49\x40\x00\x00\x00\x00\x00\x00\x00\x00")), "00-------", ""},
	{"a message id that is text", sent("message_id", "7"), "00-------", ""},
	{"a message id that is a fraction", sent("message_id", 7.5), "00-------", ""},
	{"no message id", sent("message_id", gone), "00-------", ""},
	{"no date", sent("date", gone), "00-------", ""},
	{"a date that is NaN", sent("date", math.NaN()), "00-------", ""},
	{"a date that is infinite", sent("date", math.Inf(1)), "00-------", ""},
	{"a date of 2^64-1", sent("date", uint64(math.MaxUint64)), "00-------", ""},
	{"a date of text", sent("date", "\x1b[31myesterday\n"), "00-------", ""},
	{"a date of a list", sent("date", []int{1}), "00-------", ""},
	{"a recipient of controls", sent("to", "\x1b[31m\r\n"), "00-------", ""},
	{"a recipient that is a number", sent("to", 7), "00-------", ""},
	{"a recipient of 1 MB", sent("to", strings.Repeat("a", 1<<20)), "00-------", ""},
	{"a SID in the reply", sent("session_id", "secret"), "00-------", ""},
	{"a second message is confirmed, and the third never", onRequest(func(p *peer) {
		if number, _ := p.request.RequestNumber(); number < 4 {
			p.answer()
		}
	}), "-T-------", "020000000"},
	{"the second message is refused", onRequest(func(p *peer) {
		if number, _ := p.request.RequestNumber(); number != 3 {
			p.answer()
		} else {
			reply("status", "404 Not Found")(p)
		}
	}), "-5-------", "020000000"},
	{"the messages are confirmed in the other order", onRequest(func(p *peer) {
		if number, _ := p.request.RequestNumber(); number == 4 {
			for n := 4; n > 1; n-- {
				reply("id", n, "message_id", n)(p)
			}
		}
	}), "-0-------", ""},
	{"a message is confirmed three times, the others never", onRequest(func(p *peer) { reply("id", 2)(p) }), "0T-------", "110000000"},

	{"contacts: none", contacts("data", []raw{}), "---0----0", "000000000"},
	{"contacts: no data", contacts("data", gone), "---8----8", ""},
	{"contacts: null", contacts("data", nil), "---8----8", ""},
	{"contacts: a map", contacts("data", object("login", "bob")), "---8----8", ""},
	{"contacts: text", contacts("data", "bob"), "---8----8", ""},
	{"contacts: an entry that is text", contacts("data", []string{"bob"}), "---8----8", ""},
	{"contacts: an entry that is null", contacts("data", []any{nil}), "---8----8", ""},
	{"contacts: an entry with a key twice", contacts("data", []raw{object("login", "bob", "login", "carol")}), "---8----8", ""},
	{"contacts: an entry with a key that is a number", contacts("data", []raw{object(1, "bob")}), "---8----8", ""},
	{"contacts: no login", contacts("data", []raw{object("name", "bob")}), "---0----0", ""},
	{"contacts: a login that is a number", contacts("data", []raw{object("login", 7)}), "---0----0", ""},
	{"contacts: a login of bytes", contacts("data", []raw{object("login", []byte("bob"))}), "---0----0", ""},
	{"contacts: a login of controls", contacts("data", []raw{object("login", "\x1b[31m\r\n\u202e")}), "---0----0", ""},
	{"contacts: a login that is not UTF-8", contacts("data", []raw{object("login", raw("\x62\xff\xfe"))}), "---0----0", ""},
	{"contacts: one twice", contacts("data", []raw{object("login", "bob"), object("login", "bob")}), "---0----0", "000200002"},
	{"contacts: a name that is a list", contacts("data", []raw{object("login", "bob", "name", []int{1})}), "---0----0", ""},
	{"contacts: online is text", contacts("data", []raw{object("login", "bob", "online", "yes")}), "---0----0", ""},
	{"contacts: a login of 1 MiB", contacts("data", []raw{object("login", strings.Repeat("a", 1<<20))}), "---0----0", ""},
	{"contacts: a login of 1 MiB and 500 short ones", onRequest(only("get_contacts", longAmongShort)), "---0----0", "000*0000*"},
	{"contacts: a name of 1 MiB and 500 short ones", onRequest(only("get_contacts", longNameAmongShort)), "---0----0", "000*0000*"},
	{"contacts: 100,000", onRequest(only("get_contacts", bulk("data", head(4, 100_000), 100_000, object("login", "bob")))), "---0----0", "000*0000*"},
	{"contacts: a million empty maps", onRequest(only("get_contacts", bulk("data", head(4, 1_000_000), 1_000_000, "\xa0"))), "---8----8", ""},
	{"contacts: 15 MiB of name", onRequest(only("get_contacts", bulk("data", "\x81\xa2\x65login\x63bob\x64name"+head(3, 15<<20), 15<<10, raw(strings.Repeat("a", 1<<10))))), "---0----0", ""},

	{"history: none", history("history", []raw{}), "----0----", "000000000"},
	{"history: no history", history("history", gone), "----8----", ""},
	{"history: null", history("history", nil), "----8----", ""},
	{"history: a map", history("history", object()), "----8----", ""},
	{"history: an entry that is a number", history("history", []int{1}), "----8----", ""},
	{"history: an entry that is null", history("history", []any{nil}), "----8----", ""},
	{"history: an entry with a key twice", history("history", []raw{object("body", "a", "body", "b")}), "----8----", ""},
	{"history: an empty entry", history("history", []raw{object()}), "----0----", ""},
	{"history: a body of bytes", history("history", []raw{message(5, "extra", 1, "body2", []byte("\x1b"))}), "----0----", ""},
	{"history: 50,000 messages of a plain server", plain(onRequest(only("get_history", bulk("history", head(4, 50_000), 50_000, message(0))))), "----0----", "0000*0000"},
	{"history: 100,000 messages", onRequest(only("get_history", bulk("history", head(4, 100_000), 100_000, message(5)))), "----8----", ""},
	{"history: a million empty maps", onRequest(only("get_history", bulk("history", head(4, 1_000_000), 1_000_000, "\xa0"))), "----8----", ""},
	{"history: a body of 15 MiB", onRequest(only("get_history", bulk("history", "\x81\xa1\x64body"+head(3, 15<<20), 15<<10, raw(strings.Repeat("a", 1<<10))))), "----0----", ""},
	{"history: a body of 15 MiB of controls", onRequest(only("get_history", bulk("history", "\x81\xa1\x64body"+head(3, 15<<20), 15<<10, raw(strings.Repeat("\x1b", 1<<10))))), "----0----", ""},
	{"history: more that is text", history("more", "yes"), "----0----", ""},
}

// sent is a trick with the reply to a send_message.
func sent(pairs ...any) trick { return onRequest(only("send_message", reply(pairs...))) }

func contacts(pairs ...any) trick { return onRequest(only("get_contacts", reply(pairs...))) }

func history(pairs ...any) trick { return onRequest(only("get_history", reply(pairs...))) }

func longAmongShort(p *peer) {
	reply("data", append([]raw{object("login", strings.Repeat("a", 1<<20))}, shortContacts()...))(p)
}

func longNameAmongShort(p *peer) {
	reply("data", append([]raw{object("login", "alice", "name", strings.Repeat("a", 1<<20))}, shortContacts()...))(p)
}

func shortContacts() []raw {
	short := make([]raw, 500)
	for i := range short {
		short[i] = object("login", "bob"+itoa(i))
	}
	return short
}
