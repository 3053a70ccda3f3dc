// Command floor sends one message with the two libraries that skaroctl uses, and
// nothing else: dial, greeting, session_restore, send_message. It is what a whole
// `skaroctl send` is measured against.
//
//	FLOOR_SID=… floor URL LOGIN TEXT
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/coder/websocket"
	"github.com/fxamacker/cbor/v2"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "floor: give URL LOGIN TEXT, and the SID in FLOOR_SID")
		os.Exit(2)
	}
	if err := send(context.Background(), os.Args[1], os.Getenv("FLOOR_SID"), os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

func send(ctx context.Context, url, sid, to, body string) error {
	c, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		return err
	}
	defer c.CloseNow()
	if _, err := read(ctx, c); err != nil { // the greeting
		return err
	}
	if err := ask(ctx, c, map[string]any{"type": "session_restore", "on_request": 1, "sid": sid}); err != nil {
		return err
	}
	return ask(ctx, c, map[string]any{"type": "send_message", "on_request": 2, "to": to, "body": body})
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
