package main

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/store"
)

func TestPruneParsing(t *testing.T) {
	checkParsing(t, newPruneCmd,
		parsed[pruneOptions]{"prune --older-than 90d", pruneOptions{cli.Duration(90 * 24 * time.Hour)}, true},
		parsed[pruneOptions]{"prune --older-than 24h", pruneOptions{cli.Duration(24 * time.Hour)}, true},
		parsed[pruneOptions]{args: "prune"},
		parsed[pruneOptions]{args: "prune --older-than 23h"},
		parsed[pruneOptions]{args: "prune --older-than 0s"},
		parsed[pruneOptions]{args: "prune --older-than 90"},
		parsed[pruneOptions]{args: "prune 90d"},
	)
}

// Old messages are gone, also from a server that runs meanwhile. Young ones stay.
func TestPruneWorksWhileTheServerRuns(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	addUsers(t, data, "alice")
	s, err := store.Open(filepath.Join(data, databaseName))
	if err != nil {
		t.Fatal(err)
	}
	alice, err := s.User(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	for age, body := range map[time.Duration]string{100 * 24 * time.Hour: "old", time.Hour: "young"} {
		sent := make(chan error, 1)
		s.Send(store.Message{Sender: alice.ID, To: "alice", Body: body, Date: time.Now().Add(-age)}, func(_ store.Stored, err error) { sent <- err })
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c := startServer(t, data).login("alice")
	runCommands(t, data,
		commandCase{args: "prune --older-than 90d"},
		commandCase{args: "prune", status: 2, errs: "--older-than is missing"},
		commandCase{args: "prune --older-than 1h", status: 2, errs: "--older-than is 1h0m0s: a sender may repeat a message for a day"},
	)
	list, err := proto.ParseMessages(c.request(2, proto.TypeGetHistory, map[string]any{"login": "alice"}).Fields, "history")
	if err != nil || len(list) != 1 || list[0].Body != "young" {
		t.Errorf("%+v, %v", list, err)
	}
}
