package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMain runs the tests in the folder of the repository, as the program runs.
func TestMain(m *testing.M) {
	if err := os.Chdir("../.."); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func TestRelinkKeepsLinksToFilesThatAreThere(t *testing.T) {
	has := map[string]bool{"README.md": true, "docs/server.md": true}
	for text, want := range map[string]string{
		"[a](docs/server.md#tls)":    "[a](docs/server.md#tls)",
		"[a](docs/commands/x.md)":    "[a](WEB/docs/commands/x.md)",
		"[a](LICENSE), [b](README)":  "[a](WEB/LICENSE), [b](WEB/README)",
		"[a](docs/gone.md#a-b) text": "[a](WEB/docs/gone.md#a-b) text",
		"[a](#here)":                 "[a](#here)",
		"[a](https://example.org/x)": "[a](https://example.org/x)",
	} {
		if got := string(relink([]byte(text), "README.md", has, "WEB/")); got != want {
			t.Errorf("%s: %s, not %s", text, got, want)
		}
	}
	if got := string(relink([]byte("[a](../README.md) [b](../tools)"), "docs/server.md", has, "WEB/")); got != "[a](../README.md) [b](WEB/tools)" {
		t.Error(got)
	}
}

func TestPackagesHaveTheReferenceOfTheirProgramAlone(t *testing.T) {
	for _, program := range programs {
		list, err := documents(program)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"README.md", "docs/server.md", "docs/commands/" + program + ".md", "docs/commands/" + program + "-version.md"} {
			if !slices.Contains(list, want) {
				t.Errorf("%s has no %s", program, want)
			}
		}
		for _, file := range list {
			if filepath.Dir(file) == filepath.FromSlash("docs/commands") && !strings.HasPrefix(filepath.Base(file), program) {
				t.Errorf("%s has %s", program, file)
			}
		}
		for _, other := range []string{"LICENSE", "packaging/skarod.service"} {
			if slices.Contains(list, other) {
				t.Errorf("%s has %s among its documents", program, other)
			}
		}
	}
}

func TestLicencesAreRecognized(t *testing.T) {
	bsd := "Redistributions of source code must retain the above copyright\nnotice"
	for _, test := range []struct {
		list []licence
		want string
	}{
		{[]licence{{"LICENSE", "Permission is hereby granted, free of\ncharge, to any person obtaining a copy"}}, "Expat MIT"},
		{[]licence{{"LICENSE", bsd}}, "BSD-2-clause BSD-2-Clause"},
		{[]licence{{"LICENSE", bsd + "\nNeither the name of X"}}, "BSD-3-clause BSD-3-Clause"},
		{[]licence{{"LICENSE.txt", "   Apache License\n  Version 2.0, January 2004"}, {"LICENSE-LOGO", "a picture"}}, "Apache-2.0 Apache-2.0"},
		{[]licence{{"LICENSE", bsd}, {"LICENSE-2", bsd}}, "BSD-2-clause BSD-2-Clause"},
		{[]licence{{"LICENSE", "All yours."}}, ""},
	} {
		debian, spdx, err := names(test.list)
		got := strings.Join(append(debian, spdx...), " ")
		if got != test.want || (err == nil) == (test.want == "") {
			t.Errorf("%v: %q, %v; not %q", test.list, got, err, test.want)
		}
	}
}

func TestCopyrightHasAParagraphForEachModule(t *testing.T) {
	folder := t.TempDir()
	text := "Copyright (c) 2014 Somebody Else. All rights reserved.\n\nPermission to use, copy, modify, and distribute this software for any purpose\n"
	if err := os.WriteFile(filepath.Join(folder, "LICENSE"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, spdx, err := copyright([]module{{"example.org/a", "v1.2.3", folder}})
	if err != nil {
		t.Fatal(err)
	}
	if spdx != "ISC AND MIT" {
		t.Errorf("the licences are %s", spdx)
	}
	want := `
Files: vendor/example.org/a/*
Copyright: 2014 Somebody Else.
Comment: example.org/a v1.2.3
License: ISC
 Copyright (c) 2014 Somebody Else. All rights reserved.
 .
 Permission to use, copy, modify, and distribute this software for any purpose
`
	if !strings.HasPrefix(got, "Format: ") || !strings.Contains(got, "\nFiles: *\nCopyright: 2026 the skaroctl authors\nLicense: Expat\n") || !strings.HasSuffix(got, want) {
		t.Error(got)
	}
}

func TestAReleaseHasAHeadingInTheChangelog(t *testing.T) {
	commit := time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)
	log := "# Changes\n\n## Unreleased\n\n## 1.2.3 - 2026-11-29\n"
	for version, want := range map[string]string{"1.2.3": "2026-11-29", "1.2.4-0.20261201-abc": "2026-12-01", "1.2.4": ""} {
		date, err := releaseDate(log, version, commit)
		if (err != nil) != (want == "") || err == nil && date.Format(time.DateOnly) != want {
			t.Errorf("%s: %v, %v; not %s", version, date, err, want)
		}
	}
}

func TestVersionsAreThoseThatNfpmWrites(t *testing.T) {
	if got := debianVersion("0.0.0-20261129-abc"); got != "0.0.0~20261129-abc" {
		t.Error(got)
	}
	if got := rpmVersion("0.0.0-20261129-abc"); got != "0.0.0~20261129_abc" {
		t.Error(got)
	}
}

// madeUp is a release of archives that only have names.
func madeUp(t *testing.T) *release {
	r := &release{out: t.TempDir(), version: "1.2.3"}
	for _, p := range strings.Split(everywhere, ",") {
		if err := os.WriteFile(filepath.Join(r.out, r.archive(p)), []byte(p), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.writeRecipes(strings.Split(everywhere, ",")); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestScoopManifestHasTheSumsOfItsArchives(t *testing.T) {
	r := madeUp(t)
	text, err := os.ReadFile(filepath.Join(r.out, "skaroctl.json"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		Version      string
		Architecture map[string]struct{ URL, Hash string }
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		t.Fatal(err)
	}
	sum, err := sha256sum(filepath.Join(r.out, "skaroctl_1.2.3_windows_arm64.zip"))
	if err != nil {
		t.Fatal(err)
	}
	arm := manifest.Architecture["arm64"]
	if manifest.Version != "1.2.3" || arm.Hash != sum || arm.URL != web+"/releases/download/v1.2.3/skaroctl_1.2.3_windows_arm64.zip" {
		t.Errorf("%s", text)
	}
}

// TestRecipesAreWellFormed asks the languages of the recipes.
func TestRecipesAreWellFormed(t *testing.T) {
	r := madeUp(t)
	for _, command := range [][]string{{"ruby", "-c", "skaroctl.rb"}, {"bash", "-n", "PKGBUILD"}, {"shellcheck", "PKGBUILD"}} {
		t.Run(command[0], func(t *testing.T) { check(t, r.out, command...) })
	}
}

// TestRecipesInstallTheLicencesOfTheModules: the modules' licences want their notices with
// the programs. Scoop keeps the whole archive.
func TestRecipesInstallTheLicencesOfTheModules(t *testing.T) {
	r := madeUp(t)
	for _, name := range []string{"skaroctl.rb", "PKGBUILD"} {
		text, err := os.ReadFile(filepath.Join(r.out, name))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), thirdParty) {
			t.Errorf("%s does not install %s", name, thirdParty)
		}
	}
}

func TestShellScriptsAreWellFormed(t *testing.T) {
	for shell, patterns := range map[string][]string{
		"sh":   {"packaging/deb/skarod.p*", "packaging/rpm/*", "script/demo", "script/go-line", "script/package-test", "script/reproduce", "script/systemd-test"},
		"bash": {".ci/run"},
	} {
		for _, pattern := range patterns {
			files, err := filepath.Glob(pattern)
			if err != nil || len(files) == 0 {
				t.Errorf("%s: %v, %v", pattern, files, err)
				continue
			}
			check(t, ".", append([]string{"shellcheck", "--shell=" + shell}, files...)...)
		}
	}
}

// check runs a checker in a folder.
func check(t *testing.T, folder string, command ...string) {
	t.Helper()
	if _, err := exec.LookPath(command[0]); err != nil {
		t.Skipf("SKIPPED: %s is not checked; how to enable it: install %s", command[len(command)-1], command[0])
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", cmd, err, out)
	}
}

// TestScriptletsOfRPMCallSystemctl runs them with a systemctl that prints its arguments, as on a system
// whose systemd has no update helper.
func TestScriptletsOfRPMCallSystemctl(t *testing.T) {
	if _, err := os.Stat("/usr/lib/systemd/systemd-update-helper"); err == nil || runtime.GOOS != "linux" {
		t.Skip("they ask the update helper of this system, or there is none")
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "systemctl"), []byte("#!/bin/sh\necho \"$*\" >>\"$CALLS\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ script, versions, want string }{
		{"post", "1", "--no-reload preset skarod.service\n"}, // how many versions are installed afterwards
		{"post", "2", ""},
		{"preun", "1", ""},
		{"preun", "0", "--no-reload disable --now skarod.service\n"},
		{"postun", "1", "try-restart skarod.service\n"},
		{"postun", "0", ""},
	} {
		calls := filepath.Join(t.TempDir(), "calls")
		cmd := exec.Command("sh", "packaging/rpm/skarod."+test.script, test.versions)
		cmd.Env = append(os.Environ(), "CALLS="+calls, "PATH="+folder+":"+os.Getenv("PATH"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s %s: %v\n%s", test.script, test.versions, err, out)
		}
		if got, _ := os.ReadFile(calls); string(got) != test.want {
			t.Errorf("%s %s: called %q, not %q", test.script, test.versions, got, test.want)
		}
	}
}
