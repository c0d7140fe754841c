/* SPDX-License-Identifier: ISC */
/*
 * Every operator command, once:
 *
 *     X(NAME, answers(function), "words", "arguments", min, max, shape,
 *       "sentence", "details")
 *
 * answers is CONTROL (the role runs control_function, the tool shows what it
 * answers with show_function) or TOOL (spoolctl runs tool_function by
 * itself). min and max count the arguments after the words; options are not
 * counted. shape is CTL_ONE (one JSON document), CTL_MANY (a list) or CTL_RAW
 * (bytes). The sentence is the line of "spoolctl help", the details follow
 * it in "spoolctl help COMMAND". spoolctl.8 has the same order.
 * Included several times on purpose: no include guard.
 */
/* clang-format off */
X(STATUS, CONTROL(status), "status", "", 0, 0, CTL_ONE,
  "one screen: mail in, what is held, targets, disk, roles",
  "")
X(LIST, CONTROL(list), "list", "[QUERY]", 0, CTL_ARGUMENTS_MAX, CTL_MANY,
  "list what is held, or what QUERY says, oldest first",
  "QUERY is one or more terms; a message must fit all of them:\n"
  "\n"
  "  from:PATTERN        sender; from:<> is the null sender\n"
  "  to:PATTERN          a recipient\n"
  "  client:ADDRESS      the sending host: address, 192.0.2.0/24, 192.0.2.*\n"
  "  helo:PATTERN        the name it gave\n"
  "  since:WHEN          arrived in the last 2h, or since 2026-11-25\n"
  "  before:WHEN         arrived longer ago than that\n"
  "  state:STATE         held (ready, later, unknown, on-hold), finished (delivered,\n"
  "                      returned, expired, dropped, discarded) or any;\n"
  "                      without it: held\n"
  "  target:PATTERN      where it is to go\n"
  "  size:>SIZE          larger, or with < smaller, e.g. size:>1M\n"
  "  subject:TEXT        a part of the subject, as it is in the header\n"
  "  message-id:PATTERN  the Message-ID field\n"
  "  id:ID               the message with this id\n"
  "\n"
  "A \"-\" in front turns a term around: -to:anna@*. In a PATTERN \"*\" stands\n"
  "for anything, and one without \"@\" may also be the local part or the\n"
  "domain alone. Case does not count. Quote for the shell.\n")
X(SHOW, CONTROL(show), "show", "ID", 1, 1, CTL_ONE,
  "one message: where it came from, how recipients stand",
  "")
X(CAT, CONTROL(cat), "cat", "ID", 1, 1, CTL_RAW,
  "the content of a message, byte for byte",
  "On a terminal, control characters are shown as \"?\".\n")
X(RETRY, CONTROL(retry), "retry", "QUERY|ID ...", 1, CTL_ARGUMENTS_MAX, CTL_ONE,
  "try messages again now and probe their targets",
  "Deliveries that wait for their own next try become ready at once. QUERY is\n"
  "as in \"spoolctl help list\"; only what is held is tried. All that is held:\n"
  "state:held. A target that is down is probed at once.\n")
X(HOLD, CONTROL(hold), "hold", "[--dry-run] [--reason TEXT] QUERY|ID ...", 1, CTL_ARGUMENTS_MAX, CTL_ONE,
  "keep messages back until they are released",
  "Deliveries that are open are not tried, and their time to live does not end,\n"
  "until \"spoolctl release\". Where QUERY (\"spoolctl help list\") says which\n"
  "recipients, targets or states, only those deliveries. What the target takes\n"
  "at this moment is delivered. --dry-run only counts. --reason TEXT goes into\n"
  "the ledger with your name.\n")
X(RELEASE, CONTROL(release), "release", "[--dry-run] [--reason TEXT] QUERY|ID ...", 1, CTL_ARGUMENTS_MAX, CTL_ONE,
  "let messages on hold go on",
  "Those that \"spoolctl list state:on-hold\" shows.\n")
X(DISCARD, CONTROL(discard), "discard", "[--dry-run] [--reason TEXT] QUERY|ID ...", 1, CTL_ARGUMENTS_MAX, CTL_ONE,
  "give deliveries up; nobody is told",
  "The message is kept for a time, as after a delivery: \"spoolctl replay again\n"
  "state:discarded\" takes it up once more. For good: \"spoolctl erase\".\n")
X(REDIRECT, CONTROL(redirect), "redirect", "[--dry-run] [--reason TEXT] [--home] QUERY|ID ... [TARGET]", 1, CTL_ARGUMENTS_MAX, CTL_ONE,
  "send messages to another target than their own",
  "TARGET is the name of a target section: the last argument. What waits for\n"
  "its next try is tried there now; what is on hold stays on hold. --home, in\n"
  "place of TARGET, sends them to their own again. All that waits for a target:\n"
  "target:NAME. New mail goes where its domain says: change that in spoold.conf\n"
  "and reload. What a target takes at this moment may arrive twice.\n")
X(RETURN, CONTROL(return), "return", "[--dry-run] [--yes] [--reason TEXT] QUERY|ID ...", 1, CTL_ARGUMENTS_MAX, CTL_ONE,
  "give messages back to their senders, with a notice, now",
  "It cannot be undone: on a terminal you are asked first, unless --yes is\n"
  "given. The notices go out a few a minute (limit { notices }). The reason is\n"
  "for the ledger; the sender does not see it. Messages whose sender cannot be\n"
  "told, because he is null or asked for no notices, stay: \"spoolctl discard\"\n"
  "gives those up.\n")
X(UNDO_LIST, CONTROL(undo_list), "undo list", "", 0, 0, CTL_MANY,
  "the commands of the last hour that can be undone",
  "")
X(UNDO, CONTROL(undo), "undo", "[--dry-run] [--reason TEXT] [NUMBER]", 0, 1, CTL_ONE,
  "take back what the last command made of messages",
  "hold, release, discard, redirect and replay again, for an hour; NUMBER is\n"
  "the command's in \"spoolctl undo list\". What has happened to a delivery since\n"
  "stays as it is. return and erase cannot be undone.\n")
X(REPLAY_AGAIN, CONTROL(replay_again), "replay again", "[--dry-run] [--reason TEXT] QUERY|ID ...", 1, CTL_ARGUMENTS_MAX, CTL_ONE,
  "deliver messages once more that are still kept",
  "Deliveries that were delivered; where QUERY says so (state:returned,\n"
  "state:expired, state:dropped, state:discarded, state:finished), those.\n")
X(ERASE, CONTROL(erase), "erase", "[--dry-run] [--reason TEXT] QUERY|ID ...", 1, CTL_ARGUMENTS_MAX, CTL_MANY,
  "destroy messages with their content, for good",
  "Held or finished. Nobody is told, and nothing brings the content back: the\n"
  "key of each message goes, and the bytes are written over. The ledger keeps\n"
  "the digest. A backup made before still has it until \"spoolctl key rotate\"\n"
  "and the old secret are gone. Try --dry-run first.\n")
X(PREFER_LIST, CONTROL(prefer_list), "prefer list", "", 0, 0, CTL_MANY,
  "the rules of what goes first",
  "")
X(PREFER_REMOVE, CONTROL(prefer_remove), "prefer remove", "RULE", 1, 1, CTL_ONE,
  "let what a rule put first go in its turn again",
  "RULE is its number in \"spoolctl prefer list\".\n")
X(PREFER, CONTROL(prefer), "prefer", "[--dry-run] [--for TIME] [--reason TEXT] QUERY", 1, CTL_ARGUMENTS_MAX, CTL_ONE,
  "let messages go before the rest of the backlog",
  "Those that match QUERY (\"spoolctl help list\") and are held, and new mail that\n"
  "matches as it comes in: the rule stands until \"spoolctl prefer remove\", or\n"
  "for TIME (30m, 2h, 1d). Of several rules the one that was made first goes\n"
  "first. Mail that comes in while its target is up keeps its share. --dry-run\n"
  "only counts what is held.\n")
X(TARGET_LIST, CONTROL(target_list), "target list", "", 0, 0, CTL_MANY,
  "the targets: state, since when, next probe, why",
  "")
X(TARGET_RETRY, CONTROL(target_retry), "target retry", "NAME", 1, 1, CTL_ONE,
  "probe a target that is down now",
  "")
X(TARGET_PAUSE, CONTROL(target_pause), "target pause", "[--for TIME] NAME", 1, 1, CTL_ONE,
  "give a target nothing, for a time or until it is resumed",
  "What is under way ends; mail goes on being accepted and is held, and its time\n"
  "to live does not pass. --for TIME (30m, 2h, 1d) ends it by itself.\n")
X(TARGET_RESUME, CONTROL(target_resume), "target resume", "[--trust] NAME", 1, 1, CTL_ONE,
  "go on with a target that is paused",
  "One message first, then more, as with a target that returns. What it refuses\n"
  "for good at first is kept back, and too much of that pauses it again; with\n"
  "--trust what it refuses goes back to the senders at once.\n")
X(TARGET_SHOW, CONTROL(target_show), "target show", "NAME", 1, 1, CTL_ONE,
  "all about one target: state, hosts, limits, what waits",
  "")
X(TARGET_SET, CONTROL(target_set), "target set", "[--for TIME] NAME KEY=VALUE ...", 2, 8, CTL_ONE,
  "set limits of a target's pace, for a time or for good",
  "KEY is connections, connection-rate (a minute), message-rate (a minute) or\n"
  "byte-rate (a second), as in spoold.conf; KEY=default takes back what was set.\n"
  "--for TIME (30m, 2h, 1d) ends it by itself; without it, it stays over\n"
  "restarts until it is taken back.\n")
X(USER_ADD, CONTROL(user_add), "user add", "[--no-password] NAME [ADDRESS ...]", 1, 1001, CTL_ONE,
  "let somebody read held mail by IMAP",
  "NAME is what he signs in with. He reads the held mail for each ADDRESS; without\n"
  "one, for NAME, which is an address then. In the local part \"*\" stands for\n"
  "anything: *@example.com, sales-*@example.com. Quote it for the shell. The\n"
  "password is asked for, or is the first line of standard input. With\n"
  "--no-password there is none: he signs in with an access code (\"spoolctl user\n"
  "invite\"), or by the primary (auth-upstream).\n")
X(USER_PASSWD, CONTROL(user_passwd), "user passwd", "NAME", 1, 1, CTL_ONE,
  "give a user another password",
  "It is asked for, or is the first line of standard input. His sessions end;\n"
  "access codes, and what was learned from the primary, are worth nothing.\n")
X(USER_ADDRESSES, CONTROL(user_addresses), "user addresses", "NAME ADDRESS ...", 2, 1001, CTL_ONE,
  "set whose mail a user reads",
  "In place of what he reads now. ADDRESS is as for \"spoolctl user add\". His\n"
  "sessions end.\n")
X(USER_INVITE, CONTROL(user_invite), "user invite", "[--for TIME] NAME", 1, 1, CTL_ONE,
  "make an access code for a user, good for one sign-in",
  "It is shown this once. The user types it in place of his password; dashes,\n"
  "blanks and capitals do not count. It is used up by the first sign-in, or its\n"
  "time is over: --for TIME (1h, 3d; a day without it). While the session it\n"
  "opened is there, the same address may open more with it, as programs do.\n")
X(USER_LIST, CONTROL(user_list), "user list", "[PATTERN]", 0, 1, CTL_MANY,
  "the users: what they read, how they sign in",
  "")
X(USER_REMOVE, CONTROL(user_remove), "user remove", "NAME", 1, 1, CTL_ONE,
  "remove a user; the mail stays",
  "His sessions end at once. His flags, what is in his Drafts, Sent and Trash,\n"
  "and what he hid go with him; the held mail is not touched.\n")
X(USER_IMPORT, CONTROL(user_import), "user import", "[--dry-run] [--domain DOMAIN] FILE", 1, 1, CTL_MANY,
  "take users and hashes from a Dovecot or shadow file",
  "A line a user, NAME:HASH and more, as in Dovecot's passwd-file and in\n"
  "/etc/shadow; \"-\" is the standard input. Users who are new read the address\n"
  "NAME, or NAME@DOMAIN where it has no \"@\"; without --domain that is the one\n"
  "domain of the configuration. Those who are there get the password and keep\n"
  "their addresses. If any line is wrong, nothing is changed. Locked accounts are\n"
  "passed over. --dry-run only says what would be done.\n")
X(WHY, CONTROL(why), "why", "ID", 1, 1, CTL_ONE,
  "why a message is still here, or what became of it",
  "In sentences; show has the facts, trace the history.\n")
X(TRACE, CONTROL(trace), "trace", "ID", 1, 1, CTL_MANY,
  "all that happened to a message, from the ledger",
  "Also of messages that are gone; then recipients have only numbers, since\n"
  "addresses go with the message. Goes back as far as keep-ledger says.\n")
X(AUDIT, CONTROL(audit), "audit", "[--since WHEN] [--content]", 0, 0, CTL_ONE,
  "does all that was accepted have an end, or is it here?",
  "Verifies the chain of the ledger and the signatures of its checkpoints,\n"
  "balances every acceptance against its ends and against what is held, and\n"
  "names what does not fit; then it exits with 1.\n"
  "\n"
  "  --since WHEN  begins with the last checkpoint before WHEN: a duration\n"
  "                such as 2h, or a date\n"
  "  --content     reads the content of all that is held as well\n")
X(CHECKPOINT, CONTROL(checkpoint), "checkpoint", "", 0, 0, CTL_ONE,
  "sign the state of the ledger now, and drop what is old",
  "It happens once a day by itself. What it prints proves, kept elsewhere,\n"
  "that the ledger was not written anew since.\n")
X(CHECK, CONTROL(check), "check", "[--content] [--repair] [--offline]", 0, 0, CTL_MANY,
  "is every row of the store what it may be?",
  "While mail goes on. Names every row that cannot be read or contradicts\n"
  "others; then it exits with 1. \"spoolctl audit\" asks whether anything is\n"
  "missing.\n"
  "\n"
  "  --content  reads all content as well\n"
  "  --repair   sets aside what cannot be used, as it is, so that the rest\n"
  "             flows, and writes anew what follows from other rows\n"
  "  --offline  for a store that cannot be read any more: stop spoold first. It\n"
  "             reads the file itself; with --repair a new store is made of it\n")
X(BACKUP, CONTROL(backup), "backup", "FILE", 1, 1, CTL_ONE,
  "a copy of the store as it is now, while it goes on",
  "FILE is written anew; \"-\" is the standard output. Nothing in it can be read\n"
  "without the key file, which is not in it: keep a copy of that elsewhere.\n"
  "\"spoolctl restore FILE\" puts it in place.\n")
X(RESTORE, TOOL(restore), "restore", "[--force] FILE", 1, 1, CTL_ONE,
  "put a backup in place of the store; the daemon is stopped",
  "The spool is that of the configuration (-c). A store that is there is moved\n"
  "aside, not written over. What was delivered after the backup was made will\n"
  "be delivered again. The key file must have the pairs the backup needs;\n"
  "--force does without them: what is sealed to them cannot be read.\n")
X(EXPORT, CONTROL(export), "export", "[--format FORMAT] --to PATH [QUERY]", 0, CTL_ARGUMENTS_MAX, CTL_ONE,
  "write messages to files, with all that is known of them",
  "What is held, or what QUERY (\"spoolctl help list\") says. FORMAT is eml (a\n"
  "directory of files, the default), maildir or mbox. PATH must not exist.\n"
  "Beside the mail there is a manifest: envelopes, deliveries, attempts, times.\n"
  "\"spoolctl import PATH\" brings all of it back, here or elsewhere. The mail\n"
  "in PATH is readable: keep it safe.\n")
X(IMPORT, CONTROL(import), "import", "[--dry-run] [--target NAME] PATH ...", 1, CTL_ARGUMENTS_MAX, CTL_MANY,
  "take messages from files or another server's queue",
  "PATH is what \"spoolctl export\" wrote, the queue directory of a Postfix that\n"
  "is stopped, or a mailbox (mbox, Maildir, .eml) whose messages have\n"
  "Delivered-To or X-Original-To fields. Deliveries that are open go on as they\n"
  "were. Nothing is removed from PATH, and what is here already is not taken\n"
  "twice: an import that was cut can be done again. --target NAME takes\n"
  "recipients whose domains are not configured as well, and sends all of it\n"
  "to that target. --dry-run only says what would be done.\n")
X(COMPACT, CONTROL(compact), "compact", "", 0, 0, CTL_ONE,
  "rewrite the store without its free pages, as it goes on",
  "Gives room back to the file system. It needs room for a copy of what is in\n"
  "use, and happens by itself after an outage (store { compact }).\n")
X(KEY_LIST, CONTROL(key_list), "key list", "", 0, 0, CTL_MANY,
  "the spool's key pairs and what is sealed to them",
  "")
X(KEY_ROTATE, CONTROL(key_rotate), "key rotate", "", 0, 0, CTL_ONE,
  "make a new key pair and seal everything to it",
  "New mail is sealed to the new pair at once; what is held, in the background.\n"
  "When nothing needs the former pair its secret is destroyed: copies of the\n"
  "store made before cannot be read any more.\n")
X(KEY_EXPORT, TOOL(key_export), "key export", "[--lock]", 0, 0, CTL_RAW,
  "print the key file, to be kept in a safe place",
  "Without it nothing that is held can be read. --lock asks for a passphrase\n"
  "and prints it locked. Works without the daemon.\n")
X(KEY_FORGET, TOOL(key_forget), "key forget", "PAIR", 1, 1, CTL_ONE,
  "go on without a key pair whose secret is lost",
  "Then spoold starts; what is sealed to that pair stays in the store and\n"
  "cannot be read. Should the secret be found, put it back into the key file.\n"
  "Works without the daemon.\n")
X(DICTIONARY_LIST, CONTROL(dictionary_list), "dictionary list", "", 0, 0, CTL_MANY,
  "the dictionaries that make small mail smaller",
  "")
X(DICTIONARY_TRAIN, CONTROL(dictionary_train), "dictionary train", "", 0, 0, CTL_ONE,
  "make a dictionary from what is held and kept",
  "It fits your mail better than the one spoold comes with. Only what is common\n"
  "to many messages of different senders to different recipients goes into it.\n"
  "It takes some seconds; at least 100 messages are needed.\n")
X(EVENTS, CONTROL(events), "events", "-f", 0, 0, CTL_MANY,
  "follow what happens, one line an event",
  "Goes on until interrupted. Earlier events are in the daemon's log.\n")
X(VERSION, TOOL(version), "version", "", 0, 0, CTL_ONE,
  "the version of spoolctl; status has the daemon's",
  "")
X(HELP, TOOL(help), "help", "[COMMAND]", 0, 2, CTL_MANY,
  "the commands, or one of them in detail",
  "")
/* clang-format on */
