/* SPDX-License-Identifier: ISC */
/*
 * Every option of an operator command, once: X(NAME, "--name", takes a
 * value). A command has the options its arguments in ctl_table.h name.
 * Included several times on purpose: no include guard.
 */
/* clang-format off */
X(DRY_RUN,    "--dry-run",    false)
X(REASON,     "--reason",     true)
X(SINCE,      "--since",      true)
X(FORMAT,     "--format",     true)
X(TO,         "--to",         true)
X(TARGET,     "--target",     true)
X(CONTENT,    "--content",    false)
X(REPAIR,     "--repair",     false)
X(OFFLINE,    "--offline",    false)
X(FORCE,      "--force",      false)
X(LOCK,       "--lock",       false)
X(FOR,        "--for",        true)
X(NO_PASSWORD, "--no-password", false)
X(DOMAIN,     "--domain",     true)
X(HOME,       "--home",       false)
X(TRUST,      "--trust",      false)
X(YES,        "--yes",        false)
/* clang-format on */
