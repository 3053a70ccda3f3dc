package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestContainer builds the image of packaging/Containerfile and runs it, as docs/server.md
// says: an account is made, and the server answers with the arguments of the image.
func TestContainer(t *testing.T) {
	statSources(t)
	if _, err := exec.LookPath("buildah"); err != nil || os.Geteuid() != 0 {
		t.Skip("SKIPPED: it needs buildah and root; how to enable it: apt-get install buildah runc")
	}
	folder, data := t.TempDir(), t.TempDir()
	if err := os.Chown(data, 65532, 65532); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(folder, "skarod"), "./cmd/skarod")
	build.Dir, build.Env = "..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	store := t.TempDir()
	buildah := func(args ...string) *exec.Cmd {
		cmd := exec.Command("buildah", append([]string{"--storage-driver", "vfs", "--root", store + "/root", "--runroot", store + "/run"}, args...)...)
		cmd.Env = append(os.Environ(), "BUILDAH_ISOLATION=chroot")
		return cmd
	}
	output := func(input string, args ...string) string {
		cmd := buildah(args...)
		cmd.Stdin = strings.NewReader(input)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%q: %v\n%s", args, err, &errs)
		}
		return strings.TrimSpace(string(out))
	}
	output("", "bud", "--quiet", "-f", "../packaging/Containerfile", "-t", "skarod", folder)
	container := output("", "from", "skarod")
	run := []string{"run", "--volume", data + ":/data", container, "--"}
	words := strings.Fields(output("", "inspect", "--format", "{{range .OCIv1.Config.Entrypoint}}{{.}} {{end}}{{range .OCIv1.Config.Cmd}}{{.}} {{end}}", container))
	at := slices.Index(words, ":8765")
	if at < 0 {
		t.Fatalf("the image runs %q", words)
	}
	words[at] = "127.0.0.1:0" // here it has the network of the host
	output("a password", append(run, words[0], "user", "add", "alice", "--data", "/data", "--password-stdin")...)

	server := buildah(append(run, words...)...)
	server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	log := newOutput()
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-server.Process.Pid, syscall.SIGTERM)
		_ = server.Wait()
	}()
	listening := regexp.MustCompile(`msg=listening .* url=(\S+)`)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	for {
		text, grown := log.read()
		if m := listening.FindStringSubmatch(text); m != nil {
			out, err := exec.CommandContext(ctx, "skaroctl", "register-type", "--server", m[1], "-o", "text").CombinedOutput()
			if err != nil || string(out) != "closed\n" {
				t.Errorf("%v: %s", err, out)
			}
			return
		}
		select {
		case <-grown:
		case <-ctx.Done():
			t.Fatalf("it does not listen:\n%s", text)
		}
	}
}
