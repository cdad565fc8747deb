# Installs stillframe. `make install` builds first, unless BINARY names a built one.
#   make install                          into /usr/local
#   make install PREFIX=/usr DESTDIR=pkg  for a package
PREFIX      ?= /usr/local
DESTDIR     ?=
SYSCONFDIR  ?= /etc
BINDIR      ?= $(PREFIX)/bin
DATADIR     ?= $(PREFIX)/share/stillframe
DOCDIR      ?= $(PREFIX)/share/doc/stillframe
UNITDIR     ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
TMPFILESDIR ?= $(PREFIX)/lib/tmpfiles.d
CARGO_TARGET_DIR ?= target
BUILT       := $(CARGO_TARGET_DIR)/release/stillframe
BINARY      ?= $(BUILT)
CONFIG      := $(DESTDIR)$(SYSCONFDIR)/stillframe

.PHONY: install uninstall build

build:
	@test "$(BINARY)" != "$(BUILT)" || cargo build --release --locked

install: build
	install -D -m 0755 "$(BINARY)" "$(DESTDIR)$(BINDIR)/stillframe"
	install -d "$(DESTDIR)$(UNITDIR)" "$(CONFIG)/plans.d"
	sed -e 's|/usr/bin/stillframe|$(BINDIR)/stillframe|' -e 's|/usr/share/doc/stillframe|$(DOCDIR)|' \
		systemd/stillframe.service > "$(DESTDIR)$(UNITDIR)/stillframe.service"
	chmod 0644 "$(DESTDIR)$(UNITDIR)/stillframe.service"
	install -D -m 0644 systemd/stillframe.sysusers "$(DESTDIR)$(SYSUSERSDIR)/stillframe.conf"
	install -D -m 0644 systemd/stillframe.tmpfiles "$(DESTDIR)$(TMPFILESDIR)/stillframe.conf"
	install -D -m 0644 config/plan.schema.json "$(DESTDIR)$(DATADIR)/plan.schema.json"
	install -D -m 0644 -t "$(DESTDIR)$(DOCDIR)" README.md CHANGELOG.md LICENSE
	install -D -m 0644 -t "$(DESTDIR)$(DOCDIR)/example" config/example/stillframe.toml
	install -D -m 0644 -t "$(DESTDIR)$(DOCDIR)/example/plans.d" config/example/plans.d/*.toml
	@# What a person has written stays.
	test -e "$(CONFIG)/stillframe.toml" || install -m 0644 config/stillframe.toml "$(CONFIG)/stillframe.toml"
	install -m 0644 config/plans.d/README.md "$(CONFIG)/plans.d/README.md"

# Configuration, state and user stay.
uninstall:
	rm -f "$(DESTDIR)$(BINDIR)/stillframe" "$(DESTDIR)$(UNITDIR)/stillframe.service" \
		"$(DESTDIR)$(SYSUSERSDIR)/stillframe.conf" "$(DESTDIR)$(TMPFILESDIR)/stillframe.conf"
	rm -rf "$(DESTDIR)$(DATADIR)" "$(DESTDIR)$(DOCDIR)"
