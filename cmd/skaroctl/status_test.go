package main

import (
	"testing"
)

func TestStatusParse(t *testing.T) {
	testParse(t, newStatusCmd, []parseCase[statusOptions]{
		{name: "one"},
		{name: "all", args: []string{"--all"}, want: statusOptions{all: true}},
	})
}
