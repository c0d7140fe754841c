# spoold: build, run, check. Start here:
#
#   make            build/spoold and build/spoolctl
#   make run        build, then run the daemon on a small example in build/run
#   make demo       a scripted tour: target down, mail held, target back
#   make check      every test: lint, unit, fuzz (short), e2e, fault, interop
#   make bench      the benchmark tables, beside Debian's Postfix and Dovecot
#   make fuzz       each fuzz target for FUZZ_SECONDS (default 60)
#   make lint       layering, tables against manuals, manual pages
#   make install    into DESTDIR/PREFIX
#   make V=1 ...    shows the commands
#   make SAN=1 ...  the same with AddressSanitizer and UBSan, in build/san
#
# Missing Debian packages are installed by the targets that need them.

PREFIX  ?= /usr/local
DESTDIR ?=
VERSION  = 0.1.0

FUZZ_SECONDS       ?= 60
FUZZ_CHECK_SECONDS ?= 3

# --- packages -------------------------------------------------------------

PACKAGES_build = gcc libc6-dev make pkg-config dns-root-data \
    libconfuse-dev libcrypt-dev libevent-dev libgmime-3.0-dev libjansson-dev liblmdb-dev libsodium-dev \
    libssl-dev libunbound-dev libzstd-dev uthash-dev
PACKAGES_npm   = $(shell command -v npm >/dev/null || echo npm)
PACKAGES_check = $(PACKAGES_build) clang curl dovecot-core dovecot-imapd dovecot-lmtpd fuse3 isync \
    ldnsutils libclang-rt-14-dev libcmocka-dev libfuse3-dev \
    mandoc neomutt nsd offlineimap3 openssl postfix python3 tmux \
    $(PACKAGES_npm) $(LIBRARIES_peers)
# Servers that cannot be installed beside Postfix are unpacked to build/peers.
PACKAGES_peers  = exim4-daemon-light opensmtpd
LIBRARIES_peers = libdb5.3 libevent-2.1-7 libgnutls-dane0 libidn12 libnsl2 \
    libpcre2-8-0
PACKAGES_demo  = $(PACKAGES_build) python3
PACKAGES_bench = $(PACKAGES_build) dovecot-imapd isync openssl postfix python3 $(PACKAGES_npm)

# --- sources, in the order of the layers (one a line: one-line diffs) -------

SRCS_libspool = \
    libspool/log.c \
    libspool/mem.c \
    libspool/why.c \
    libspool/buf.c \
    libspool/num.c \
    libspool/clock.c \
    libspool/when.c \
    libspool/eta.c \
    libspool/utf8.c \
    libspool/glob.c \
    libspool/network.c \
    libspool/file.c \
    libspool/line.c \
    libspool/addr.c \
    libspool/xtext.c \
    libspool/xclient.c \
    libspool/dsn_param.c \
    libspool/smtp_verb.c \
    libspool/smtp_reply.c \
    libspool/dot.c \
    libspool/crlf.c \
    libspool/mbox.c \
    libspool/postfix_queue.c \
    libspool/header.c \
    libspool/hosts.c \
    libspool/dns.c \
    libspool/mx.c \
    libspool/mime_token.c \
    libspool/mime_addr.c \
    libspool/mime_field.c \
    libspool/mime.c \
    libspool/mime_header.c \
    libspool/mime_charset.c \
    libspool/mime_decode.c \
    libspool/mime_fold.c \
    libspool/imap_set.c \
    libspool/imap_utf7.c \
    libspool/imap_token.c \
    libspool/imap_date.c \
    libspool/imap_reader.c \
    libspool/imap_command.c \
    libspool/imap_args_list.c \
    libspool/imap_args_fetch.c \
    libspool/imap_args_search.c \
    libspool/msgid.c \
    libspool/event.c \
    libspool/event_line.c \
    libspool/ctl.c \
    libspool/record.c \
    libspool/mime_pack.c \
    libspool/mime_envelope.c \
    libspool/mime_walk.c \
    libspool/mime_structure.c \
    libspool/mime_print.c \
    libspool/mime_section.c \
    libspool/mime_search.c \
    libspool/mime_sort.c \
    libspool/message.c \
    libspool/smtp_param.c \
    libspool/mailbox.c \
    libspool/account.c \
    libspool/password_sha1.c \
    libspool/password.c \
    libspool/proto_imap.c \
    libspool/proto.c \
    libspool/frame.c \
    libspool/recipients.c \
    libspool/conf_host.c \
    libspool/conf_key.c \
    libspool/conf_value.c \
    libspool/conf_scan.c \
    libspool/conf_tree.c \
    libspool/conf_rules.c \
    libspool/conf.c \
    libspool/conf_check.c \
    libspool/passphrase.c \
    libspool/seal.c \
    libspool/key_file.c \
    libspool/dictionary_common.c \
    libspool/dictionary_pick.c \
    libspool/dictionary.c \
    libspool/body_pack.c \
    libspool/body.c \
    libspool/dsn.c \
    libspool/dsn_people.c \
    libspool/dsn_status.c \
    libspool/domains.c \
    libspool/ledger_chain.c \
    libspool/ledger_balance.c \
    libspool/sieve.c \
    libspool/db.c \
    libspool/db_rows.c \
    libspool/db_write.c \
    libspool/db_undo.c \
    libspool/db_prefer.c \
    libspool/db_ledger.c \
    libspool/db_sieve.c \
    libspool/db_mailbox.c \
    libspool/db_mailbox_read.c \
    libspool/db_account_read.c \
    libspool/db_read.c \
    libspool/db_read_rows.c \
    libspool/db_rules.c \
    libspool/db_check.c \
    libspool/db_check_message.c \
    libspool/db_check_reader.c \
    libspool/db_rules_reader.c \
    libspool/db_mend_reader.c \
    libspool/db_pages.c \
    libspool/db_migrate.c \
    libspool/db_rescue.c \
    libspool/db_copy.c \
    libspool/db_check_sums.c \
    libspool/db_mend.c \
    libspool/db_repair.c \
    libspool/db_scrub.c \
    libspool/query.c \
    libspool/query_sieve.c \

SRCS_spoold = \
    spoold/main.c \
    spoold/parent.c \
    spoold/parent_roles.c \
    spoold/parent_spool.c \
    spoold/parent_socket.c \
    spoold/parent_list.c \
    spoold/parent_key.c \
    spoold/parent_file.c \
    spoold/role.c \
    spoold/loop.c \
    spoold/io.c \
    spoold/io_tls.c \
    spoold/tls.c \
    spoold/peer.c \
    spoold/stats.c \
    spoold/reading.c \
    spoold/sealing.c \
    spoold/system_file.c \
    spoold/gate.c \
    spoold/listener.c \
    spoold/listener_session.c \
    spoold/listener_command.c \
    spoold/listener_etrn.c \
    spoold/listener_data.c \
    spoold/store.c \
    spoold/store_batch.c \
    spoold/store_log.c \
    spoold/store_compact.c \
    spoold/store_scrub.c \
    spoold/store_due.c \
    spoold/store_readers.c \
    spoold/store_apply.c \
    spoold/store_submit.c \
    spoold/store_outcome.c \
    spoold/store_delivery.c \
    spoold/store_steer.c \
    spoold/store_undo.c \
    spoold/store_undo_due.c \
    spoold/store_prefer.c \
    spoold/store_prefer_due.c \
    spoold/store_refs.c \
    spoold/store_share.c \
    spoold/store_keys.c \
    spoold/store_learn.c \
    spoold/store_mailbox.c \
    spoold/store_mark.c \
    spoold/store_own.c \
    spoold/store_user.c \
    spoold/store_news.c \
    spoold/store_imap.c \
    spoold/store_mend.c \
    spoold/store_checkpoint.c \
    spoold/store_ledger.c \
    spoold/replay.c \
    spoold/replay_target.c \
    spoold/replay_place.c \
    spoold/replay_limit.c \
    spoold/replay_pause.c \
    spoold/replay_health.c \
    spoold/replay_guard.c \
    spoold/replay_recovery.c \
    spoold/replay_took.c \
    spoold/replay_alarm.c \
    spoold/replay_sched.c \
    spoold/replay_pace.c \
    spoold/replay_budget.c \
    spoold/replay_queue.c \
    spoold/replay_notices.c \
    spoold/replay_work.c \
    spoold/resolve.c \
    spoold/replay_self.c \
    spoold/replay_host.c \
    spoold/replay_route.c \
    spoold/replay_reverse.c \
    spoold/replay_connect.c \
    spoold/replay_secure.c \
    spoold/replay_session.c \
    spoold/replay_step.c \
    spoold/replay_starttls.c \
    spoold/replay_fit.c \
    spoold/replay_client.c \
    spoold/replay_key.c \
    spoold/replay_train.c \
    spoold/replay_content.c \
    spoold/replay_outcome.c \
    spoold/replay_report.c \
    spoold/replay_return.c \
    spoold/replay_delay.c \
    spoold/imap.c \
    spoold/imap_key.c \
    spoold/imap_session.c \
    spoold/imap_run.c \
    spoold/imap_login.c \
    spoold/imap_name.c \
    spoold/imap_user.c \
    spoold/imap_view.c \
    spoold/imap_rows.c \
    spoold/imap_list.c \
    spoold/imap_status.c \
    spoold/imap_select.c \
    spoold/imap_cache.c \
    spoold/imap_content.c \
    spoold/imap_fetch.c \
    spoold/imap_section.c \
    spoold/imap_search.c \
    spoold/imap_sort.c \
    spoold/imap_store.c \
    spoold/imap_append.c \
    spoold/auth.c \
    spoold/auth_guess.c \
    spoold/auth_worker.c \
    spoold/auth_answer.c \
    spoold/auth_upstream.c \
    spoold/auth_login.c \
    spoold/control.c \
    spoold/control_client.c \
    spoold/control_json.c \
    spoold/control_walk.c \
    spoold/control_status.c \
    spoold/control_message.c \
    spoold/control_retry.c \
    spoold/control_target.c \
    spoold/control_pause.c \
    spoold/control_eta.c \
    spoold/control_user.c \
    spoold/control_user_import.c \
    spoold/control_key.c \
    spoold/control_dictionary.c \
    spoold/control_check.c \
    spoold/control_steer.c \
    spoold/control_undo.c \
    spoold/control_prefer.c \
    spoold/control_watch.c \
    spoold/control_audit.c \
    spoold/control_audit_chain.c \
    spoold/control_audit_rows.c \
    spoold/control_trace.c \
    spoold/control_why.c \
    spoold/control_backup.c \
    spoold/control_compact.c \
    spoold/control_export.c \
    spoold/control_import.c \
    spoold/control_import_facts.c \

SRCS_spoolctl = \
    spoolctl/main.c \
    spoolctl/request.c \
    spoolctl/help.c \
    spoolctl/talk.c \
    spoolctl/text.c \
    spoolctl/table.c \
    spoolctl/member.c \
    spoolctl/show_status.c \
    spoolctl/show_message.c \
    spoolctl/show_key.c \
    spoolctl/show_dictionary.c \
    spoolctl/show_check.c \
    spoolctl/show_audit.c \
    spoolctl/show_trace.c \
    spoolctl/show_prefer.c \
    spoolctl/show_why.c \
    spoolctl/confirm.c \
    spoolctl/show_steer.c \
    spoolctl/show_user.c \
    spoolctl/user_import.c \
    spoolctl/secret.c \
    spoolctl/show_target.c \
    spoolctl/show_compact.c \
    spoolctl/show_backup.c \
    spoolctl/export.c \
    spoolctl/export_directory.c \
    spoolctl/export_mbox.c \
    spoolctl/import.c \
    spoolctl/import_manifest.c \
    spoolctl/import_envelope.c \
    spoolctl/import_mbox.c \
    spoolctl/import_maildir.c \
    spoolctl/import_postfix.c \
    spoolctl/tool_lock.c \
    spoolctl/tool_restore.c \
    spoolctl/tool_check.c \

# tests/unit/test_NAME.c, and what of spoold it is linked with
UNIT_TESTS = \
    why \
    buf \
    num \
    clock \
    file \
    log \
    msgid \
    mime \
    mime_search \
    mime_decode \
    mime_structure \
    mime_addr \
    event \
    eta \
    record \
    message \
    proto \
    frame \
    seal \
    key_file \
    dictionary \
    body \
    recipients \
    conf \
    db \
    db_copy \
    db_rows \
    db_migrate \
    db_pages \
    ledger_balance \
    store_checkpoint \
    control_audit \
    store_apply \
    store_refs \
    store_keys \
    store_learn \
    store_steer \
    store_prefer \
    store_undo \
    store_mailbox \
    password \
    auth_guess \
    auth_answer \
    store_mend \
    store_mend_reader \
    store_user \
    store_compact \
    line \
    addr \
    dsn_param \
    smtp_param \
    xclient \
    smtp_verb \
    imap_command \
    dot \
    crlf \
    mbox \
    postfix_queue \
    header \
    dns \
    mx \
    listener_command \
    parent_socket \
    smtp_reply \
    dsn \
    replay_sched \
    replay_pace \
    replay_guard \
    replay_queue \
    replay_budget \
    replay_notices \
    replay_simulation \
    replay_outcome \
    replay_content \
    when \
    utf8 \
    glob \
    network \
    ctl \
    event_line \
    sieve \
    query \
    control_walk \
    text \
    table \

# tests/fuzz/fuzz_NAME.c
FUZZ_TARGETS = \
    password \
    auth_answer \
    record \
    frame \
    key_file \
    body \
    recipients \
    conf \
    db_pages \
    session \
    line \
    addr \
    verb \
    dot \
    mbox \
    postfix_queue \
    manifest \
    header \
    mime \
    mime_addr \
    mime_decode \
    mime_search \
    dns \
    reply \
    imap_command \
    imap_session \
    query \
    event_line \

# --- how ------------------------------------------------------------------

# One short line a step; make V=1 shows the commands.
ifeq ($(V),1)
Q   =
SAY = @:
else
Q   = @
SAY = @printf '  %-5s %s\n'
endif

CC     ?= gcc
CLANG  ?= clang
PYTHON  = /usr/bin/python3

WARNINGS = -Wall -Wextra -Werror -Wshadow -Wvla -Wundef -Wpointer-arith \
    -Wcast-qual -Wwrite-strings -Wmissing-prototypes -Wstrict-prototypes \
    -Wold-style-definition -Wformat=2 -Wconversion -Wno-sign-conversion
CPPFLAGS += -D_GNU_SOURCE -DSPOOLD_VERSION='"$(VERSION)"' -Ilibspool
BASE_CFLAGS = -std=c17 -g $(WARNINGS) -fstack-protector-strong -fno-common
LDLIBS_libspool = -llmdb -lzstd -lsodium -lcrypt -lconfuse
# Asked when it is used: the package may not be there yet.
GMIME_CFLAGS = $(subst -I,-isystem ,$(shell pkg-config --cflags gmime-3.0))
LDLIBS_gmime = -Wl,--push-state,--as-needed \
    $(shell pkg-config --libs gmime-3.0) -Wl,--pop-state
LDLIBS_spoold   = $(LDLIBS_libspool) $(LDLIBS_gmime) -levent -lssl -lcrypto -ljansson \
    -lunbound
LDLIBS_spoolctl = $(LDLIBS_libspool) -ljansson

ifeq ($(SAN),1)
BUILD  = build/san
CFLAGS ?= -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined \
    -fno-omit-frame-pointer
LDFLAGS += -fsanitize=address,undefined
else
BUILD  = build
CFLAGS ?= -O2 -D_FORTIFY_SOURCE=2 -fPIE
LDFLAGS += -pie -Wl,-z,relro,-z,now
endif

OBJS_libspool = $(SRCS_libspool:%.c=$(BUILD)/obj/%.o)
OBJS_spoold   = $(SRCS_spoold:%.c=$(BUILD)/obj/%.o)
OBJS_spoolctl = $(SRCS_spoolctl:%.c=$(BUILD)/obj/%.o)
LIBSPOOL      = $(BUILD)/libspool.a

.PHONY: all help run demo check bench fuzz lint format install clean unit
.DELETE_ON_ERROR:
.SECONDARY:

all: $(BUILD)/spoold $(BUILD)/spoolctl

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

$(BUILD)/spoold: $(OBJS_spoold) $(LIBSPOOL)
	$(SAY) LINK $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS_spoold)

$(BUILD)/spoolctl: $(OBJS_spoolctl) $(LIBSPOOL)
	$(SAY) LINK $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS_spoolctl)

$(BUILD)/obj/libspool/dictionary.o build/fuzz-obj/libspool/dictionary.o: \
    libspool/dictionary_shipped.bin

$(addprefix $(BUILD)/obj/libspool/, mime_decode.o mime_fold.o) \
build/fuzz-obj/libspool/mime_decode.o build/fuzz-obj/libspool/mime_fold.o: \
    CPPFLAGS += $(GMIME_CFLAGS)

$(LIBSPOOL): $(OBJS_libspool)
	$(SAY) AR $@
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/obj/%.o: %.c | build/.packages-build
	@mkdir -p $(@D)
	$(SAY) CC $<
	$(Q)$(CC) $(CPPFLAGS) -I$(dir $<) $(BASE_CFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

-include $(shell find build -name '*.d' -type f 2>/dev/null)

# --- tests ------------------------------------------------------------------

$(BUILD)/obj/tests/%.o: CPPFLAGS += -Ispoold

# Policy of spoold that is tested without sockets names its objects below.
$(BUILD)/unit/test_%: $(BUILD)/obj/tests/unit/test_%.o $(LIBSPOOL)
	@mkdir -p $(@D)
	$(SAY) LINK $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $< $(filter %.o,$(filter-out $<,$^)) $(LIBSPOOL) \
	    -lcmocka $(LDLIBS_spoold)

$(BUILD)/unit/test_listener_command: $(BUILD)/obj/spoold/listener_command.o \
    $(BUILD)/obj/spoold/listener_etrn.o
$(BUILD)/unit/test_store_compact: $(BUILD)/obj/spoold/store_log.o
$(BUILD)/unit/test_control_audit: $(addprefix $(BUILD)/obj/spoold/, \
    control_audit_chain.o control_audit_rows.o)
# It stands between the audit and what that reads.
$(BUILD)/unit/test_control_audit: LDFLAGS += -Wl,--wrap=db_read_message
# What applying records takes.
OBJS_apply = $(addprefix $(BUILD)/obj/spoold/, store_apply.o store_submit.o \
    store_outcome.o \
    store_delivery.o store_refs.o store_steer.o store_undo.o store_prefer.o store_keys.o \
    store_checkpoint.o store_learn.o store_mend.o store_mailbox.o store_mark.o \
    store_own.o store_user.o)
$(BUILD)/unit/test_store_apply $(BUILD)/unit/test_store_refs \
    $(BUILD)/unit/test_store_keys \
    $(BUILD)/unit/test_store_learn \
    $(BUILD)/unit/test_store_compact $(BUILD)/unit/test_store_steer \
    $(BUILD)/unit/test_store_prefer $(BUILD)/unit/test_replay_queue \
    $(BUILD)/unit/test_store_undo \
    $(BUILD)/unit/test_store_mend $(BUILD)/unit/test_store_mend_reader \
    $(BUILD)/unit/test_store_mailbox $(BUILD)/unit/test_store_user \
    $(BUILD)/unit/test_store_checkpoint $(BUILD)/unit/test_control_audit: \
    $(OBJS_apply)
$(BUILD)/unit/test_parent_socket: $(BUILD)/obj/spoold/parent_socket.o
$(BUILD)/unit/test_auth_guess: $(BUILD)/obj/spoold/auth_guess.o
$(BUILD)/unit/test_auth_answer: $(BUILD)/obj/spoold/auth_answer.o
$(BUILD)/unit/test_control_walk: $(BUILD)/obj/spoold/control_walk.o
$(BUILD)/unit/test_replay_sched $(BUILD)/unit/test_replay_pace: $(addprefix $(BUILD)/obj/spoold/, \
    replay_sched.o replay_pace.o)
$(BUILD)/unit/test_replay_content: $(addprefix $(BUILD)/obj/spoold/, \
    replay_content.o reading.o stats.o)
$(BUILD)/unit/test_replay_queue: $(BUILD)/obj/spoold/replay_queue.o
$(BUILD)/unit/test_replay_guard: $(BUILD)/obj/spoold/replay_guard.o
$(BUILD)/unit/test_replay_budget: $(BUILD)/obj/spoold/replay_budget.o
$(BUILD)/unit/test_replay_notices: $(addprefix $(BUILD)/obj/spoold/, \
    replay_notices.o loop.o)
# The scheduler without anything around it.
OBJS_simulation = $(BUILD)/obj/tests/bench/simulation.o \
    $(addprefix $(BUILD)/obj/spoold/, replay_sched.o replay_pace.o \
    replay_budget.o)
$(BUILD)/unit/test_replay_simulation: $(OBJS_simulation)
$(BUILD)/obj/tests/unit/test_replay_simulation.o: CPPFLAGS += -Itests/bench
$(BUILD)/unit/test_replay_outcome: $(addprefix $(BUILD)/obj/spoold/, \
    replay_outcome.o replay_report.o replay_sched.o replay_pace.o sealing.o \
    stats.o)

$(BUILD)/obj/tests/unit/test_text.o $(BUILD)/obj/tests/unit/test_table.o: \
    CPPFLAGS += -Ispoolctl
$(BUILD)/unit/test_text: $(BUILD)/obj/spoolctl/text.o
$(BUILD)/unit/test_table: $(addprefix $(BUILD)/obj/spoolctl/, table.o text.o)

unit: $(UNIT_TESTS:%=$(BUILD)/unit/test_%)
	@for t in $^; do $$t || exit 1; done

# Fuzz targets: our own code instrumented once, a target linked to it.
FUZZ_CFLAGS = -std=c17 -g -O1 -fno-omit-frame-pointer -fno-sanitize-recover=all \
    -fsanitize=fuzzer-no-link,address,undefined
FUZZ_ALL = $(FUZZ_TARGETS:%=build/fuzz/%)

build/fuzz-obj/%.o: %.c | build/.packages-check
	@mkdir -p $(@D)
	$(SAY) CLANG $<
	$(Q)$(CLANG) $(CPPFLAGS) -Ispoold $(FUZZ_CFLAGS) -MMD -MP -c -o $@ $<

build/fuzz-obj/libspool.a: $(SRCS_libspool:%.c=build/fuzz-obj/%.o)
	$(SAY) AR $@
	$(Q)rm -f $@ && ar rcs $@ $^

build/fuzz/%: build/fuzz-obj/tests/fuzz/fuzz_%.o build/fuzz-obj/libspool.a
	@mkdir -p $(@D)
	$(SAY) LINK $@
	$(Q)$(CLANG) -fsanitize=fuzzer,address,undefined -o $@ $< \
	    $(filter-out $<,$(filter %.o,$^)) build/fuzz-obj/libspool.a \
	    $(LDLIBS_libspool)

build/fuzz/auth_answer: build/fuzz-obj/spoold/auth_answer.o
build/fuzz/imap_session: $(addprefix build/fuzz-obj/spoold/, \
    imap_session.o imap_run.o imap_login.o imap_name.o imap_user.o imap_view.o \
    imap_rows.o \
    imap_list.o imap_status.o imap_select.o imap_content.o imap_cache.o \
    imap_fetch.o imap_section.o imap_search.o imap_sort.o imap_store.o \
    imap_append.o sealing.o stats.o)
build/fuzz/session: $(addprefix build/fuzz-obj/spoold/, \
    listener_session.o listener_command.o listener_etrn.o listener_data.o \
    sealing.o stats.o)

build/fuzz-obj/tests/fuzz/fuzz_manifest.o: CPPFLAGS += -Ispoolctl
build/fuzz/manifest: $(addprefix build/fuzz-obj/spoolctl/, \
    import_manifest.o import_envelope.o member.o)
build/fuzz/manifest: LDLIBS_libspool += -ljansson

build/fuzz/mime build/fuzz/mime_decode build/fuzz/mime_search \
build/fuzz/imap_command build/fuzz/imap_session: \
    LDLIBS_libspool += $(LDLIBS_gmime)

fuzz: $(FUZZ_ALL)
	FUZZ_CHECK_SECONDS=$(FUZZ_SECONDS) $(PYTHON) tests/run.py $(FUZZ_ALL)

# Fails the Nth call of a durability-relevant kind (tests/fault).
build/fault.so: tests/fault/fault.c | build/.packages-build
	$(SAY) LINK $@
	$(Q)$(CC) $(CPPFLAGS) $(BASE_CFLAGS) -O2 -fPIC -shared -o $@ $< -ldl

# Prints what IMAP says of messages (tests/interop/test_mime_dovecot.py).
$(BUILD)/interop/mime_show: $(BUILD)/obj/tests/interop/mime_show.o $(LIBSPOOL)
	@mkdir -p $(@D)
	$(SAY) LINK $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS_libspool) $(LDLIBS_gmime)

# Lets servers run as an ordinary user (tests/interop/peers.py).
build/interop/ordinary.so: tests/interop/ordinary.c | build/.packages-build
	@mkdir -p $(@D)
	$(SAY) LINK $@
	$(Q)$(CC) $(CPPFLAGS) $(BASE_CFLAGS) -O2 -fPIC -shared -o $@ $< -ldl

# Sets the clocks (tests/fault).
build/clock.so: tests/fault/clock.c | build/.packages-build
	$(SAY) LINK $@
	$(Q)$(CC) $(CPPFLAGS) $(BASE_CFLAGS) -O2 -fPIC -shared -o $@ $< -ldl

# A file system that forgets what was not synced (tests/fault).
build/powercut: tests/fault/powercut.c | build/.packages-check
	$(SAY) LINK $@
	$(Q)$(CC) $(CPPFLAGS) $(BASE_CFLAGS) -Wno-unused-result -O2 -o $@ $< \
	    `pkg-config --cflags --libs fuse3`

# Unit and end-to-end tests run with the sanitizers; faults and interop with
# what is shipped.
SAN_UNIT     = $(UNIT_TESTS:%=build/san/unit/test_%)
LINT         = $(wildcard tests/lint/*.sh)
PARTS_python = $(wildcard tests/e2e/test_*.py tests/interop/test_*.py) \
    tests/fault/full_disk.py tests/fault/nth_call.py tests/fault/kill.py \
    tests/fault/powercut.py tests/fault/bit_flips.py \
    tests/fault/bad_days.py

check: | build/.packages-check
	$(MAKE) all build/peers/.unpacked build/interop/ordinary.so
	$(MAKE) build/interop/mime_show build/fault.so build/clock.so build/powercut $(FUZZ_ALL)
	$(MAKE) SAN=1 all $(SAN_UNIT)
	FUZZ_CHECK_SECONDS=$(FUZZ_CHECK_SECONDS) $(PYTHON) tests/run.py \
	    $(LINT) $(SAN_UNIT) $(FUZZ_ALL) $(PARTS_python)

lint: | build/.packages-check
	@set -e; for script in $(LINT); do echo $$script; $$script; done

# --- try it: an embedded example in build/run, no root needed ---------------

RUN_USER = $(shell id -un | sed 's/^root$$/nobody/')

build/run/spoold.conf: spoold/run.conf.in Makefile
	@mkdir -p $(@D)
	@sed -e 's|@DIR@|$(CURDIR)/build/run|' -e 's|@USER@|$(RUN_USER)|' $< >$@

run: all build/run/spoold.conf
	@echo "spoold listens on 127.0.0.1:2525 for example.com; its target is" \
	    "127.0.0.1:2526. Steer it with:"
	@echo "    build/spoolctl -c build/run/spoold.conf status"
	@exec build/spoold -c build/run/spoold.conf

demo: all | build/.packages-demo
	$(PYTHON) tests/demo.py

# --- install -----------------------------------------------------------------

install: all
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin \
	    $(DESTDIR)$(PREFIX)/share/man/man5 $(DESTDIR)$(PREFIX)/share/man/man7 \
	    $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 755 build/spoold $(DESTDIR)$(PREFIX)/sbin
	install -m 755 build/spoolctl $(DESTDIR)$(PREFIX)/bin
	install -m 644 man/*.5 $(DESTDIR)$(PREFIX)/share/man/man5
	install -m 644 man/*.7 $(DESTDIR)$(PREFIX)/share/man/man7
	install -m 644 man/*.8 $(DESTDIR)$(PREFIX)/share/man/man8

# --- benchmark: make bench BENCH="--quick accept", see bench.py --help -------

BENCH ?=

$(BUILD)/bench/%: $(BUILD)/obj/tests/bench/%.o $(BUILD)/obj/tests/bench/mails.o
	@mkdir -p $(@D)
	$(SAY) LINK $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -llmdb -pthread

$(BUILD)/bench/schedule: $(BUILD)/obj/tests/bench/schedule.o \
    $(OBJS_simulation) $(LIBSPOOL)
	@mkdir -p $(@D)
	$(SAY) LINK $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS_libspool)

bench: all $(addprefix build/bench/, feed lmdb_commit schedule fragile) | build/.packages-bench
	$(PYTHON) tests/bench/bench.py $(BENCH)

# --- packages: one stamp a list, made again when this file changes ----------

build/.packages-%: Makefile
	@mkdir -p build
	@set -e; \
	if ! command -v dpkg-query >/dev/null; then \
	    echo "make: not a Debian system: please install the equivalents of:" \
	        "$(PACKAGES_$*)"; touch $@; exit 0; \
	fi; \
	missing=$$(for p in $(PACKAGES_$*); do \
	    dpkg-query -W -f='$${Status}' $$p 2>/dev/null | \
	        grep -q 'ok installed' || echo $$p; done | tr '\n' ' '); \
	if [ -n "$$missing" ]; then \
	    sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	    if [ -n "$$sudo" ] && ! command -v sudo >/dev/null; then \
	        echo "make: these packages are needed and you are not root:" \
	            "$$missing"; exit 1; \
	    fi; \
	    echo "make: installing $$missing"; \
	    echo "postfix postfix/main_mailer_type select No configuration" | \
	        $$sudo debconf-set-selections 2>/dev/null || true; \
	    $$sudo apt-get update -qq && \
	    $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
	        --no-install-recommends $$missing >build/packages.log 2>&1 || \
	    { tail -5 build/packages.log; \
	      echo "make: could not install: $$missing"; exit 1; }; \
	fi; \
	touch $@

# Where it cannot be done, the tests that need them fail and say so.
build/peers/.unpacked: | build/.packages-check
	@rm -rf build/peers && mkdir -p build/peers
	$(SAY) FETCH "$(PACKAGES_peers)"
	@cd build/peers && sudo= && { [ "$$(id -u)" = 0 ] || sudo='sudo -n'; } && \
	if { apt-get download $(PACKAGES_peers) || \
	     { $$sudo apt-get update -qq && \
	       apt-get download $(PACKAGES_peers); }; } >log 2>&1; then \
	    for package in *.deb; do dpkg -x $$package . || exit 1; done; \
	    chmod -R u-s,g-s . && rm -f *.deb && touch .unpacked; \
	else \
	    tail -5 log; echo "make: could not fetch: $(PACKAGES_peers)"; \
	fi

format:
	clang-format -i $(shell git ls-files '*.c' '*.h' | grep -v _table.h)

clean:
	rm -rf build
