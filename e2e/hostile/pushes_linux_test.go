package hostile

import (
	"math"
	"strings"
)

// contentCases put each kind of item into every place that takes any: more fields of a
// greeting, a login, a reply, a contact, a message and a push.
func contentCases() []peerCase {
	items := []struct {
		name string
		item raw
	}{
		{"0", item(0)}, {"23", item(23)}, {"24", item(24)}, {"2^8", item(1 << 8)}, {"2^16", item(1 << 16)}, {"2^32", item(1 << 32)},
		{"2^53+1", item(1<<53 + 1)}, {"2^63-1", item(math.MaxInt64)}, {"2^63", item(uint64(1 << 63))}, {"2^64-1", item(uint64(math.MaxUint64))},
		{"-1", item(-1)}, {"-2^63", item(math.MinInt64)}, {"-2^64", "\x3b\xff\xff\xff\xff\xff\xff\xff\xff"},
		{"0 in nine bytes", "\x1b\x00\x00\x00\x00\x00\x00\x00\x00"},
		{"no bytes", item([]byte{})}, {"bytes", item([]byte("\x00\x1b\xff"))}, {"bytes in parts", "\x5f\x41a\x41b\xff"}, {"bytes in no parts", "\x5f\xff"},
		{"no text", item("")}, {"text", item("\x00\x1b[31m\r\n\u2028\u202e\u200b\U000e0041")}, {"text in parts", "\x7f\x61a\x61b\xff"}, {"text that is not UTF-8", "\x63\xff\xc0\x80"},
		{"a lone surrogate", "\x63\xed\xa0\x80"}, {"text of 100 KB", item(strings.Repeat("\x1b", 100_000))},
		{"an empty list", "\x80"}, {"a list without a length", "\x9f\x01\xff"}, {"20 lists in each other", nested(20)}, {"a list of 10,000", head(4, 10_000) + raw(strings.Repeat("\x00", 10_000))},
		{"an empty map", "\xa0"}, {"a map without a length", "\xbf\x61a\x01\xff"}, {"a map with numbers as keys", object(1, 2, -1, 3)}, {"a map with bytes as keys", object([]byte("a"), 1, []byte("b"), 2)},
		{"a map with bytes that look alike as keys", object([]byte("\xff"), 1, []byte("\xfe"), 2)}, {"a map with a text and bytes as keys", object("YQ==", 1, []byte("a"), 2)},
		{"a map with a map as a key", object(object(1, 2), 3)}, {"a map with null as a key", object(nil, 1)}, {"a map with NaN as a key", object(math.NaN(), 1)}, {"a map with a date as a key", object(tag(1, 5), 1)},
		{"a map with the empty text as a key", object("", 1)}, {"a map with controls in a key", object("\x1b[31m\n", 1)}, {"a map with a key of 100 KB", object(strings.Repeat("a", 100_000), 1)},
		{"the date text of tag 0", tag(0, "2016-05-15T12:00:00Z")}, {"tag 0 of no date", tag(0, "yesterday")}, {"tag 0 of a number", tag(0, 5)}, {"tag 0 of a leap second", tag(0, "2016-12-31T23:59:60Z")}, {"tag 0 of the year 10000", tag(0, "10000-01-01T00:00:00Z")},
		{"the date of tag 1", tag(1, 1479394801)}, {"tag 1 of a fraction", tag(1, 1479394801.5)}, {"tag 1 of NaN", tag(1, math.NaN())}, {"tag 1 of infinity", tag(1, math.Inf(-1))}, {"tag 1 of 2^64-1", tag(1, uint64(math.MaxUint64))}, {"tag 1 of text", tag(1, "5")}, {"tag 1 of a map", tag(1, object())},
		{"tag 2", tag(2, []byte("\x01\x00\x00\x00\x00\x00\x00\x00\x00"))}, {"tag 2 of nothing", tag(2, []byte{})}, {"tag 2 of text", tag(2, "1")}, {"tag 2 of 10,000 bytes", tag(2, []byte(strings.Repeat("\xff", 10_000)))}, {"tag 2 of 100 KB", tag(2, []byte(strings.Repeat("\xff", 100_000)))},
		{"tag 3", tag(3, []byte("\x01\x00\x00\x00\x00\x00\x00\x00\x00"))}, {"tag 3 of a list", tag(3, []int{1})},
		{"tag 4", tag(4, []int{-2, 27315})}, {"tag 4 of a huge exponent", tag(4, []int64{math.MaxInt64, 1})}, {"tag 5", tag(5, []int{-1, 3})}, {"tag 21", tag(21, []byte("a"))}, {"tag 22", tag(22, []byte("a"))}, {"tag 23", tag(23, []byte("a"))},
		{"tag 24", tag(24, []byte("\xa0"))}, {"tag 24 of no item", tag(24, []byte("\xff"))}, {"tag 30", tag(30, []int{1, 0})}, {"tag 32", tag(32, "javascript:alert(1)")}, {"tag 35", tag(35, "(a+)+$")}, {"tag 36", tag(36, "MIME-Version: 1.0")}, {"tag 37", tag(37, []byte(strings.Repeat("\x00", 16)))},
		{"tag 256", tag(256, []string{"a"})}, {"tag 258", tag(258, []int{1, 1})}, {"tag 55799", tag(55799, 1)}, {"tag 2^64-1", "\xdb\xff\xff\xff\xff\xff\xff\xff\xff\x00"}, {"20 tags in each other", raw(strings.Repeat("\xc6", 20)) + "\x00"},
		{"false", "\xf4"}, {"true", "\xf5"}, {"null", "\xf6"}, {"undefined", "\xf7"}, {"simple 0", "\xe0"}, {"simple 19", "\xf3"}, {"simple 32", "\xf8\x20"}, {"simple 255", "\xf8\xff"},
		{"a half float", "\xf9\x3c\x00"}, {"the smallest half", "\xf9\x00\x01"}, {"minus zero", "\xf9\x80\x00"}, {"NaN", "\xf9\x7e\x00"}, {"another NaN", "\xfb\x7f\xf0\x00\x00\x00\x00\x00\x01"}, {"infinity", "\xf9\x7c\x00"}, {"minus infinity", "\xfb\xff\xf0\x00\x00\x00\x00\x00\x00"},
		{"a float", "\xfa\x47\xc3\x50\x00"}, {"the largest double", item(math.MaxFloat64)}, {"the smallest double", item(math.SmallestNonzeroFloat64)},
	}
	var cases []peerCase
	for _, i := range items {
		cases = append(cases, peerCase{i.name, onRequest(everywhere(i.item)), "0-000--00", "1-122--12"})
	}
	return cases
}

// everywhere answers with the item in place of what is there, and as one more field.
func everywhere(value raw) act {
	return func(p *peer) {
		p.send(object("type", "info", "info", value, "odd", value))
		p.send(object("type", "odd", "odd", value))
		odd := object("id", 6, "date", value, "from", object("login", "bob", "in_conference", value, "odd", value), "to", value, "body", value, "fields", value)
		fields := p.fields()
		for _, field := range []string{"odd", "info", "retry_after", "date", "to"} {
			fields[field] = value
		}
		switch fields["for"] {
		case "get_contacts":
			fields["data"] = []raw{object("login", "bob", "name", value, "online", value, "odd", value), object("login", value)}
		case "get_history":
			fields["history"] = []raw{message(5, "odd", value, "fields", object("odd", value, "title", value, "urgency", value)), odd}
		}
		p.send(encode(fields))
		if fields["for"] == "get_updates" {
			p.send(head(5, 7) + item("type") + item("show_message") + odd[1:])
		}
	}
}

// before sends frames before the reply to one type of request.
func before(typ string, acts ...act) trick {
	return trick{at: answering, before: true, acts: []act{func(p *peer) {
		if p.request.Type() == typ {
			for _, do := range acts {
				do(p)
			}
		}
	}}}
}

// after sends frames after the reply to one type of request, instead of a message.
func after(typ string, acts ...act) trick {
	return onRequest(only(typ, func(p *peer) {
		p.send(encode(p.fields()))
		for _, do := range acts {
			do(p)
		}
	}))
}

// listening sends frames to a listener that has caught up.
func listening(frames ...raw) trick {
	var acts []act
	for _, f := range frames {
		acts = append(acts, send(f))
	}
	return after("get_updates", acts...)
}

const (
	listens = "--0------"
	ends8   = "--8------"
	ends1   = "--1------"
	ends4   = "--4------"
	stalls  = "--t------"
)

// plain makes the greeting of a trick one without extensions.
func plain(t trick) trick {
	t.plain = true
	return t
}

// pushCases are about what a server sends unasked.
var pushCases = []peerCase{
	{"a push without a type", beforeReply(send(object("info", "x"))), fine, ""},
	{"an empty push", beforeReply(send(object())), fine, ""},
	{"a push whose type is a number", beforeReply(send(object("type", 7))), fine, ""},
	{"a push of 15 MiB", beforeReply(large(object("type", "info", "info", head(3, 15<<20)), 15<<10, raw(strings.Repeat("a", 1<<10)))), fine, ""},
	{"10,000 pushes before the reply", beforeReply(repeat(10_000, ws(0x82, string(object("type", "info", "info", strings.Repeat("a", 1000)))))), fine, ""},
	{"10,000 messages before the reply, which get_updates has not", beforeReply(repeat(10_000, ws(0x82, string(pushed(6, "x", strings.Repeat("a", 1000)))))), "008000000", ""},
	{"pushes without end instead of the reply", onRequest(flood(ws(0x82, string(object("type", "info", "info", strings.Repeat("a", 1000)))))), silentReply, ""},
	{"messages without end instead of the reply", onRequest(flood(ws(0x82, string(pushed(6, "x", strings.Repeat("a", 1000)))))), silentReply, ""},
	{"messages without an id and without end instead of the reply", onRequest(flood(ws(0x82, string(bare("x", strings.Repeat("a", 1000)))))), silentReply, ""},
	{"messages without end instead of the login", onLogin(flood(ws(0x82, string(pushed(6, "x", strings.Repeat("a", 1000)))))), noID, ""},
	{"a plain server: messages without end instead of contacts", plain(onRequest(flood(ws(0x82, string(bare("x", strings.Repeat("a", 1000))))))), listens, ""},
	{"a plain server: messages without end instead of a history", plain(onRequest(only("get_history", flood(ws(0x82, string(bare("x", strings.Repeat("a", 1000)))))))), listens, ""},
	{"a plain server: messages of other logins without end", plain(onRequest(only("get_history", floodLogins))), listens, ""},

	{"a message without fields", listening(object("type", "show_message")), listens, ""},
	{"a message with a body alone", listening(object("type", "show_message", "body", "hi")), listens, ""},
	{"a message without a body", listening(object("type", "show_message", "id", 6, "from", object("login", "bob"), "to", "alice")), listens, ""},
	{"a message from text", listening(object("type", "show_message", "id", 6, "from", "bob", "to", "alice", "body", "hi")), listens, ""},
	{"a message from a list", listening(object("type", "show_message", "id", 6, "from", []string{"bob"}, "to", "alice", "body", "hi")), listens, ""},
	{"a message from null", listening(object("type", "show_message", "id", 6, "from", nil, "to", "alice", "body", "hi")), listens, ""},
	{"a message from a map with a key twice", listening(object("type", "show_message", "id", 6, "from", object("login", "a", "login", "b"), "to", "alice", "body", "hi")), listens, ""},
	{"a message to a list", listening(object("type", "show_message", "id", 6, "from", object("login", "bob"), "to", []string{"alice"}, "body", "hi")), listens, ""},
	{"a message with bytes as its body", listening(object("type", "show_message", "id", 6, "from", object("login", "bob"), "to", "alice", "body", []byte("\x1b"))), listens, ""},
	{"a message with a list as its body", listening(object("type", "show_message", "id", 6, "from", object("login", "bob"), "to", "alice", "body", []int{1})), listens, ""},
	{"a message with a body of 15 MiB", after("get_updates", large(object("type", "show_message", "id", 6, "body", head(3, 15<<20)), 15<<10, raw(strings.Repeat("a", 1<<10)))), listens, ""},
	{"a message with a body of 15 MiB of controls", after("get_updates", large(object("type", "show_message", "id", 6, "body", head(3, 15<<20)), 15<<10, raw(strings.Repeat("\x1b", 1<<10)))), listens, ""},
	{"a message with fields of another shape", listening(pushed(6, "fields", []string{"title"}), pushed(7, "fields", object(1, 2)), pushed(8, "fields", object("Title", "a")), pushed(9, "fields", object("title", object()))), listens, ""},
	{"a message with a title that controls", listening(pushed(6, "fields", object("title", "\x1b[31m\r\n\u2028\u202e", "urgency", "high\x1b[31m"))), listens, ""},
	{"a message with a title of 15 MiB", after("get_updates", large(object("type", "show_message", "id", 6, "fields", object("title", head(3, 15<<20))), 15<<10, raw(strings.Repeat("a", 1<<10)))), listens, ""},
	{"a message with 2^20 empty maps", after("get_updates", large(object("type", "show_message", "id", 6, "x", head(4, 1<<20)), 1<<20, "\xa0")), ends8, ""},
	{"a message with a key twice", listening("\xa3\x64type\x6cshow_message\x61a\x01\x61a\x02"), ends8, ""},
	{"a garbled push", listening("\xa1\x64type"), ends8, ""},
	{"a reply that nobody asked for", listening(object("type", "request", "for", "send_message", "id", 77, "status", "200 OK"), pushed(6)), listens, ""},
	{"a reply without an id", listening(object("type", "request", "for", "send_message", "status", "200 OK"), pushed(6)), ends8, ""},
	{"another greeting", listening(greeting("U"), pushed(6)), listens, ""},
	{"1,000 infos before the message", after("get_updates", repeat(1000, ws(0x82, string(object("type", "info", "info", "x")))), send(pushed(6))), listens, ""},
	{"a message with an id of zero", listening(pushed(0)), ends8, ""},
	{"a message without an id", listening(bare()), listens, ""},
	{"a message with a negative id", listening(pushed(-1)), ends8, ""},
	{"a message with an id of 2^53", listening(pushed(1 << 53)), listens, ""},
	{"a message with an id above 2^53", listening(pushed(1<<53 + 1)), ends8, ""},
	{"a message with an id of 2^63-1", listening(pushed(math.MaxInt64)), ends8, ""},
	{"a message with an id of 2^64-1", listening(pushed(uint64(math.MaxUint64))), ends8, ""},
	{"a message with an id of text", listening(pushed("6")), listens, ""},
	{"a message that was there before, then a new one", listening(pushed(5), pushed(6)), listens, ""},
	{"a message before the position is known", before("get_updates", send(pushed(6))), listens, ""},
	{"4,000 messages before the position is known", before("get_updates", manyPushed(4000)), listens, ""},
	{"10,000 messages before the position is known, which get_updates has not", before("get_updates", manyPushed(10_000)), ends8, ""},
	{"messages without ids and without end before the position is known", onRequest(flood(ws(0x82, string(bare("x", strings.Repeat("a", 1000)))))), stalls, ""},
	{"messages that grow and never end before the position is known", onRequest(floodGrowing), stalls, ""},
}

// floodGrowing sends messages whose ids grow.
func floodGrowing(p *peer) {
	for id := 6; ; id++ {
		if _, err := p.c.Write([]byte(ws(0x82, string(pushed(id, "x", strings.Repeat("a", 1000)))))); err != nil {
			return
		}
	}
}

// floodLogins sends messages, each of another login.
func floodLogins(p *peer) {
	for n := 1; ; n++ {
		m := object("type", "show_message", "from", object("login", itoa(n)+strings.Repeat("a", 200)), "to", "alice", "body", "hi")
		if _, err := p.c.Write([]byte(ws(0x82, string(m)))); err != nil {
			return
		}
	}
}

// manyPushed sends n messages with ids that grow.
func manyPushed(n int) act {
	return func(p *peer) {
		for id := range n {
			p.send(pushed(6 + id))
		}
	}
}

// bare is a message without an id as a push.
func bare(more ...any) raw {
	return object(append([]any{"type", "show_message", "date", 1479394801, "from", object("login", "bob"), "to", "alice", "body", "hi"}, more...)...)
}

// updates is a trick with the reply to get_updates.
func updates(pairs ...any) trick { return onRequest(only("get_updates", reply(pairs...))) }

// pages answers get_history with a page that make makes of the id before which it ends.
func pages(make func(before int64) []raw) trick {
	return onRequest(only("get_history", func(p *peer) {
		before, ok := p.request.Int("before")
		if !ok {
			before = 1 << 50
		}
		reply("history", make(before), "more", true)(p)
	}))
}

// page is a page of n messages that ends with an id.
func page(last int64, n int) []raw {
	messages := make([]raw, n)
	for i := range messages {
		messages[i] = message(last - int64(n-1-i))
	}
	return messages
}

const (
	pagesStall = "----t----"
	pagesWrong = "----8----"
)

// pageCases are about ids, positions and pages.
var pageCases = []peerCase{
	{"no last id", updates("last_id", gone), ends8, ""},
	{"a last id of text", updates("last_id", "5"), ends8, ""},
	{"a last id of null", updates("last_id", nil), ends8, ""},
	{"a last id that is a fraction", updates("last_id", 5.5), ends8, ""},
	{"a negative last id", updates("last_id", -1), ends8, ""},
	{"a last id of 2^53+1", updates("last_id", 1<<53+1), ends8, ""},
	{"a last id of 2^63-1", updates("last_id", math.MaxInt64), ends8, ""},
	{"a last id of 2^64-1", updates("last_id", uint64(math.MaxUint64)), ends8, ""},

	{"more without end and without messages", pages(func(int64) []raw { return nil }), pagesWrong, "000000000"},
	{"more without end, and the same page", pages(func(int64) []raw { return page(1<<40, 10) }), pagesWrong, "000000000"},
	{"more without end, and ids that grow", pages(func(before int64) []raw { return page(before+1000, 10) }), pagesWrong, "000000000"},
	{"more without end, and ids that fall", pages(func(before int64) []raw { return page(before-1, 1000) }), pagesStall, ""},
	{"more without end, and ids that fall slowly", pages(func(before int64) []raw { return page(before-1, 1) }), pagesStall, ""},
	{"more without end, and ids that fall below zero", pages(func(before int64) []raw { return page(min(before, 20)-10, 10) }), pagesWrong, "000000000"},
	{"more without end, and no ids", pages(func(int64) []raw { return []raw{object("body", "hi")} }), pagesWrong, ""},
	{"more without end, and bodies of 1 MB", pages(func(before int64) []raw { return []raw{message(before-1, "x", strings.Repeat("a", 1<<20))} }), pagesStall, ""},
	{"pages out of order", pages(func(before int64) []raw { return append(page(before-1, 5), page(before-100, 5)...) }), pagesWrong, ""},
}
