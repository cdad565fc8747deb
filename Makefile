# `make` builds; `sudo make install` installs; `sudo make uninstall` removes all but configuration, state and user.
#   make install                          into /usr/local
#   make install PREFIX=/usr DESTDIR=pkg  for a package
#   make install BINARY=path/of/stillframe   one that was built elsewhere
# Variables are set on the command line; those of the environment (but DESTDIR and CARGO_TARGET_DIR) mean something else.
PREFIX      = /usr/local
SYSCONFDIR  = /etc
BINDIR      = $(PREFIX)/bin
DATADIR     = $(PREFIX)/share/stillframe
DOCDIR      = $(PREFIX)/share/doc/stillframe
UNITDIR     = $(PREFIX)/lib/systemd/system
SYSUSERSDIR = $(PREFIX)/lib/sysusers.d
TMPFILESDIR = $(PREFIX)/lib/tmpfiles.d
CARGO_TARGET_DIR ?= target
BINARY      = $(CARGO_TARGET_DIR)/release/stillframe
CONFIG      = $(DESTDIR)$(SYSCONFDIR)/stillframe

.PHONY: build install uninstall

build:
	cargo build --release --locked

# Only where there is none: root, who installs, often has no cargo, and no business with it.
$(BINARY):
	cargo build --release --locked

install: $(BINARY)
	install -D -m 0755 "$(BINARY)" "$(DESTDIR)$(BINDIR)/stillframe"
	install -d "$(DESTDIR)$(UNITDIR)" "$(CONFIG)/plans.d"
	sed -e 's|/usr/bin/stillframe|$(BINDIR)/stillframe|' -e 's|/usr/share/doc/stillframe|$(DOCDIR)|' \
		systemd/stillframe.service > "$(DESTDIR)$(UNITDIR)/stillframe.service"
	chmod 0644 "$(DESTDIR)$(UNITDIR)/stillframe.service"
	install -D -m 0644 systemd/stillframe.sysusers "$(DESTDIR)$(SYSUSERSDIR)/stillframe.conf"
	install -D -m 0644 systemd/stillframe.tmpfiles "$(DESTDIR)$(TMPFILESDIR)/stillframe.conf"
	install -D -m 0644 config/plan.schema.json "$(DESTDIR)$(DATADIR)/plan.schema.json"
	install -D -m 0644 -t "$(DESTDIR)$(DOCDIR)" README.md ARCHITECTURE.md CHANGELOG.md LICENSE config/stillframe.toml
	install -D -m 0644 -t "$(DESTDIR)$(DOCDIR)/example" config/example/stillframe.toml
	install -D -m 0644 -t "$(DESTDIR)$(DOCDIR)/example/plans.d" config/example/plans.d/*.toml
	@# By its full path, so that an editor finds the schema wherever a plan is copied to.
	sed -i '1s|^#:schema .*|#:schema file://$(DATADIR)/plan.schema.json|' "$(DESTDIR)$(DOCDIR)/example/plans.d/"*.toml
	@# What a person has written stays; the new version of it, with every key, is among the documents.
	test -e "$(CONFIG)/stillframe.toml" || install -m 0644 config/stillframe.toml "$(CONFIG)/stillframe.toml"
	install -m 0644 config/plans.d/README.md "$(CONFIG)/plans.d/README.md"

uninstall:
	rm -f "$(DESTDIR)$(BINDIR)/stillframe" "$(DESTDIR)$(UNITDIR)/stillframe.service" \
		"$(DESTDIR)$(SYSUSERSDIR)/stillframe.conf" "$(DESTDIR)$(TMPFILESDIR)/stillframe.conf"
	rm -rf "$(DESTDIR)$(DATADIR)" "$(DESTDIR)$(DOCDIR)"
	@echo "kept: $(CONFIG), the state directory, and the user stillframe"
