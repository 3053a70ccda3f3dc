# make demo   see both programs at work
# make test   vet and test everything
# The other targets are described in docs/development.md.

# The go command derives the programs' version from the commit and its tag.
# Without a git repository, VERSION=1.2.3 sets it.
BUILDVCS := $(shell git rev-parse --quiet --verify HEAD >/dev/null 2>&1 && echo auto || echo false)
# The race detector needs a C compiler; without one, cgo is off.
RACE := $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)
RACESKIPPED := echo 'SKIPPED: the race detector needs a C compiler; how to enable it: install gcc or clang'; \
	test "$$SKARO_TEST_REQUIRE" != 1
PYTHON ?= python3
FUZZTIME ?= 10m

.PHONY: build demo test race peers docs venv lint picture release reproduce package-test systemd-test fuzz cover bench clean

build:
	CGO_ENABLED=0 go build -buildvcs=$(BUILDVCS) -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/ ./cmd/skaroctl ./cmd/skarod

demo: build
	@DEMO_PATH='$(CURDIR)/bin' sh script/demo

# The limit of an hour ends a test that hangs; none depends on the speed of the machine.
# Four packages run at a time, the slowest first, since many tests wait for what they test.
GOTEST := go run ./script/gotest -timeout 1h -p 4 -parallel 4
TESTED := ./e2e/... ./internal/session ./...
test: peers
	go vet ./...
	$(GOTEST) $(TESTED)

# The same with the race detector, in the programs of the end-to-end tests too.
race: peers
	$(if $(RACE),$(GOTEST) $(RACE) $(TESTED),@$(RACESKIPPED))

# Sets up the tests' peers in Python, if that is possible here. If not, the tests say so.
peers:
	@test -n "$$SKARO_TEST_PYTHON" || ! command -v $(PYTHON) >/dev/null || said=$$($(MAKE) --no-print-directory venv 2>&1) || \
		echo "the peers in Python can't be set up: $$(echo "$$said" | grep -v '^make' | tail -n 1); \`make venv\` says more"

# The manual pages are made in the same way: `go run -tags docs ./cmd/skaroctl man FOLDER`.
docs:
	rm -f docs/commands/*.md
	go run -tags docs ./cmd/skaroctl markdown docs/commands
	go run -tags docs ./cmd/skarod markdown docs/commands

venv: .venv/made

# pip is quiet unless something is wrong.
.venv/made: e2e/peers/requirements.txt
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement e2e/peers/requirements.txt
	touch $@

lint:
	@unformatted=$$(gofmt -l .) && if [ -n "$$unformatted" ]; then echo "not formatted by gofmt:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go vet -tags docs ./cmd/...
	go tool -modfile=tools/go.mod staticcheck ./...
	go mod tidy -diff
	cd tools && go mod tidy -diff
	go tool -modfile=tools/go.mod actionlint

# Draws the README's picture from a real run.
picture:
	go run ./script/picture

# Builds every published file, in dist/.
release:
	go run ./script/release

# Builds the release a second time, elsewhere, and compares every file.
reproduce:
	@sh script/reproduce

# Installs the packages of dist/ on this machine, and removes them.
package-test:
	@sh script/package-test

# Boots a systemd that sees a copy of this machine, and tries the units of packaging/ and docs/ there.
systemd-test: build
	@sh script/systemd-test

# FUZZTIME is for all targets together.
fuzz:
	go run ./script/fuzz -total $(FUZZTIME)

# Which statements of the programs the tests run: unit tests, the programs in the end-to-end
# tests, and both together.
COVERED := ./cmd/...,./internal/...
cover: peers
	rm -rf cover
	mkdir -p cover/unit cover/e2e
	chmod 1777 cover/e2e
	go test -timeout 1h -coverpkg=$(COVERED) ./cmd/... ./internal/... -args -test.gocoverdir=$(CURDIR)/cover/unit
	SKARO_TEST_COVER=$(CURDIR)/cover/e2e go test -timeout 1h ./e2e
	@for set in unit e2e unit,$(CURDIR)/cover/e2e; do \
		go tool covdata textfmt -i=$(CURDIR)/cover/$$set -o cover/profile && \
		echo "$$set: $$(go tool cover -func=cover/profile | tail -n 1)"; \
	done | sed 's|,/.*/|+|; s|total:.*)||'

# The program names the peers that are missing.
bench: build
	CGO_ENABLED=0 go build -trimpath -o bin/ ./bench ./bench/floor
	bin/bench

clean:
	rm -rf bin cover dist .venv
