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
  "  state:STATE         held (ready, later), finished (delivered, returned,\n"
  "                      expired, dropped) or any; without it: held\n"
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
X(TARGET_LIST, CONTROL(target_list), "target list", "", 0, 0, CTL_MANY,
  "the targets: state, since when, next probe, why",
  "")
X(TARGET_RETRY, CONTROL(target_retry), "target retry", "NAME", 1, 1, CTL_ONE,
  "probe a target that is down now",
  "")
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
