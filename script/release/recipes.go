package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
)

// recipes are the files for package managers that fetch the archives: Homebrew, Scoop and
// the AUR of Arch Linux. Each is a template in packaging, by its published name.
var recipes = []string{"skaroctl.rb", "skaroctl.json", "PKGBUILD"}

// writeRecipes fills in the recipes. They name the archives of most platforms, so a release
// for a few of them has none.
func (r *release) writeRecipes(platforms []string) error {
	for _, p := range strings.Split(everywhere, ",") {
		if !slices.Contains(platforms, p) {
			step("writing no recipes for package managers: there is no archive for %s", p)
			return nil
		}
	}
	for _, name := range recipes {
		step("writing %s", name)
		text, err := r.recipe(name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(r.out, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// recipe fills in a recipe. It uses these functions of a platform.
func (r *release) recipe(name string) ([]byte, error) {
	return fill("packaging/"+name+".tmpl", map[string]string{"Version": r.version, "Web": web}, template.FuncMap{
		"url": func(platform string) string {
			return web + "/releases/download/v" + r.version + "/" + r.archive(platform)
		},
		"folder": func(platform string) string { return r.name("skaroctl", platform) },
		"sha256": func(platform string) (string, error) { return sha256sum(filepath.Join(r.out, r.archive(platform))) },
		// A version of Arch Linux has no hyphen.
		"underscores": func(version string) string { return strings.ReplaceAll(version, "-", "_") },
	})
}
