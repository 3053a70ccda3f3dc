package account

import (
	"bufio"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/zalando/go-keyring"
)

// getItem is keyring.Get, faster where the item is there and unlocked: every
// one-shot command waits for it. All else is left to the library.
func getItem(service, user string) (string, error) {
	if secret, ok := peek(service, user); ok {
		return secret, nil
	}
	return keyring.Get(service, user)
}

// begun has the visit that Approach has begun, for whoever reads first.
var begun = make(chan *visit, 1)

// Approach, called once, begins what a read from the keyring begins with, so that a
// read that comes soon finds it under way. It asks for nothing that is ours, and waits
// for nothing. Where there is no keyring the read will say so.
func Approach() {
	v := newVisit()
	if v == nil {
		return
	}
	begun <- v
	time.AfterFunc(keyringWait, func() {
		select {
		case v := <-begun: // nobody came
			v.leave()
		default:
		}
	})
}

// peek reads an item where the library would find it, with three waits for the
// service instead of seven (Secret Service API Draft 0.2). It unlocks nothing, so that
// it never asks anybody; ok is false when the item can't be had like that.
func peek(service, user string) (secret string, ok bool) {
	var v *visit
	select {
	case v = <-begun:
	default:
		if v = newVisit(); v == nil {
			return "", false
		}
	}
	defer v.leave()
	var items []dbus.ObjectPath
	search := v.call("/org/freedesktop/secrets/collection/login", "Collection.SearchItems", map[string]string{"username": user, "service": service})
	if (<-search.Done).Store(&items) != nil || len(items) == 0 {
		return "", false
	}
	session, ok := <-v.session
	if !ok {
		return "", false
	}
	var content struct {
		Session           dbus.ObjectPath
		Parameters, Value []byte
		ContentType       string
	}
	if (<-v.call(items[0], "Item.GetSecret", session).Done).Store(&content) != nil {
		return "", false // it is locked
	}
	return string(content.Value), true
}

// visit is a connection to the bus on which a session with the Secret Service is
// being opened.
type visit struct {
	bus     *dbus.Conn
	session chan dbus.ObjectPath // closed without one where none is opened
}

// newVisit waits for nothing; it is nil where there is nothing to visit.
//
// The session is opened only when something else was answered. gnome-keyring takes
// note of who a client is beside answering it, and where OpenSession is the first that
// it hears, it may not know the client yet, and then it ends: seen with version 42, once
// in some thousand times.
func newVisit() *visit {
	bus, err := dialBus()
	if err != nil {
		return nil
	}
	v := &visit{bus, make(chan dbus.ObjectPath, 1)}
	// The bus takes one after the other, and needs no wait in between.
	hello := bus.BusObject().Go("org.freedesktop.DBus.Hello", 0, nil)
	first := v.call("/org/freedesktop/secrets", "Service.ReadAlias", "default")
	go func() {
		defer close(v.session)
		if (<-hello.Done).Err != nil || (<-first.Done).Err != nil {
			return
		}
		var session dbus.ObjectPath
		open := v.call("/org/freedesktop/secrets", "Service.OpenSession", "plain", dbus.MakeVariant(""))
		if (<-open.Done).Store(new(dbus.Variant), &session) == nil {
			v.session <- session
		}
	}()
	return v
}

// call asks the Secret Service for something.
func (v *visit) call(path dbus.ObjectPath, method string, args ...any) *dbus.Call {
	return v.bus.Object("org.freedesktop.secrets", path).Go("org.freedesktop.Secret."+method, 0, nil, args...)
}

// leave ends the session too; nobody waits for it.
func (v *visit) leave() { go v.bus.Close() }

// dialBus connects to the session bus without waiting for its answer to the login.
func dialBus() (*dbus.Conn, error) {
	socket, ok := busSocket(os.Getenv("DBUS_SESSION_BUS_ADDRESS"))
	if !ok {
		return nil, errors.New("the session bus is not at a socket")
	}
	c, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	uid := strconv.Itoa(os.Geteuid())
	if _, err := io.WriteString(c, "\x00AUTH EXTERNAL "+hex.EncodeToString([]byte(uid))+"\r\nBEGIN\r\n"); err != nil {
		_ = c.Close()
		return nil, err
	}
	bus, err := dbus.NewConn(&loggedIn{Conn: c, in: bufio.NewReader(c), told: strings.NewReader("REJECTED EXTERNAL\r\nOK 0\r\n")})
	if err == nil {
		err = bus.Auth([]dbus.Auth{dbus.AuthExternal(uid)})
	}
	return bus, err
}

// busSocket is the socket of a bus that has this address (D-Bus Specification, "Server
// Addresses"); ok is false where it is of another kind. Without an address the bus is
// where systemd has it.
func busSocket(address string) (socket string, ok bool) {
	if address == "" {
		return "/run/user/" + strconv.Itoa(os.Getuid()) + "/bus", true
	}
	address, _, _ = strings.Cut(address, ";")
	address, _, _ = strings.Cut(address, ",")
	key, value, _ := strings.Cut(address, "=")
	value, err := dbus.UnescapeBusAddressValue(value)
	switch {
	case err != nil:
		return "", false
	case key == "unix:path":
		return value, true
	case key == "unix:abstract":
		return "@" + value, true
	}
	return "", false
}

// loggedIn is a connection to a bus to which the login has been sent whole. The library
// takes four waits to log in, and a bus needs none (D-Bus Specification, "Authentication
// Protocol"): the library is told what it likes to hear, what it says to that goes
// nowhere, and what the bus did answer is looked at in front of its first message.
type loggedIn struct {
	net.Conn
	in         *bufio.Reader
	told       *strings.Reader
	begun, let bool // the library has logged in; the bus has let us in
}

func (l *loggedIn) Write(p []byte) (int, error) {
	if l.begun {
		return l.Conn.Write(p)
	}
	l.begun = string(p) == "BEGIN\r\n"
	return len(p), nil
}

func (l *loggedIn) Read(p []byte) (int, error) {
	if l.told.Len() > 0 {
		return l.told.Read(p)
	}
	if !l.let {
		line, err := l.in.ReadString('\n')
		if err == nil && !strings.HasPrefix(line, "OK ") {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, err
		}
		l.let = true
	}
	return l.in.Read(p)
}
