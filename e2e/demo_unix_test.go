//go:build unix

package e2e

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestDemoLeavesNothingBehind: neither after a whole run, nor if the reader of the output
// has gone away, as in `make demo | head`.
func TestDemoLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	statSources(t)
	server, err := exec.LookPath("skarod")
	if err != nil {
		t.Fatal(err)
	}
	for _, until := range []string{"# A pipeline", "# The exit status", "# Two thousand", "# Another message", "# Next"} {
		t.Run(until, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			dir := t.TempDir()
			demo := exec.CommandContext(ctx, "sh", "../script/demo")
			demo.Env = append(os.Environ(), "TMPDIR="+dir, "DEMO_PATH="+filepath.Dir(server))
			output, err := demo.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := demo.Start(); err != nil {
				t.Fatal(err)
			}
			for lines := bufio.NewScanner(output); lines.Scan() && !strings.HasPrefix(lines.Text(), until); {
			}
			output.Close()
			_ = demo.Wait()
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("the demo has left %v behind, %v", left, err)
			}
		})
	}
}
