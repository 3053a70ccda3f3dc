// Command floor sends one message with the two libraries that skaroctl uses, and
// nothing else: dial, greeting, authorize, send_message, each after the answer to the one
// before. It is what a whole `skaroctl send` is measured against.
//
//	FLOOR_PASSWORD=… floor URL FROM TO TEXT
package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"github.com/coder/websocket"
	"github.com/fxamacker/cbor/v2"
)

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "floor: give URL FROM TO TEXT, and the password in FLOOR_PASSWORD")
		os.Exit(2)
	}
	if err := send(context.Background(), os.Args[1], os.Args[2], os.Getenv("FLOOR_PASSWORD"), os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

func send(ctx context.Context, url, login, password, to, body string) error {
	c, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		return err
	}
	defer c.CloseNow()
	greeting, err := read(ctx, c)
	if err != nil {
		return err
	}
	challenge, _ := greeting["token"].(string)
	if err := ask(ctx, c, map[string]any{"type": "authorize", "on_request": 1, "login": login, "password": answer(password, challenge)}); err != nil {
		return err
	}
	return ask(ctx, c, map[string]any{"type": "send_message", "on_request": 2, "to": to, "body": body})
}

// answer answers a challenge. The token that skaroctl stores is this HMAC's state after its
// key, which saves it a microsecond.
func answer(password, challenge string) string {
	mac := hmac.New(sha512.New, []byte(password))
	mac.Write([]byte(challenge))
	return hex.EncodeToString(mac.Sum(nil))
}

func ask(ctx context.Context, c *websocket.Conn, request map[string]any) error {
	b, err := cbor.Marshal(request)
	if err != nil {
		return err
	}
	if err := c.Write(ctx, websocket.MessageBinary, b); err != nil {
		return err
	}
	reply, err := read(ctx, c)
	if err != nil {
		return err
	}
	if reply["status"] != "200 OK" {
		return errors.New("the server refused " + request["type"].(string))
	}
	return nil
}

func read(ctx context.Context, c *websocket.Conn) (map[string]any, error) {
	_, b, err := c.Read(ctx)
	if err != nil {
		return nil, err
	}
	var m map[string]any
	return m, cbor.Unmarshal(b, &m)
}
