package e2e

import (
	"os"
	"os/exec"
	"runtime"
	"testing"
)

// TestCompletion runs the scripts that press the Tab key in real shells.
func TestCompletion(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: it needs a pseudo-terminal, which this test opens on Linux only")
	}
	const bashCompletion = "/usr/share/bash-completion/bash_completion"
	if _, err := os.Stat(bashCompletion); err != nil {
		skip(t, "there is no "+bashCompletion, "apt-get install bash-completion")
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if _, err := exec.LookPath(shell); err != nil {
			skip(t, "there is no "+shell, "apt-get install "+shell)
		}
	}
	runScripts(t, "testdata/completion", []string{"BASH_COMPLETION=" + bashCompletion})
}
