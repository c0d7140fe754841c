/* SPDX-License-Identifier: ISC */
/*
 * check --offline: for a store the daemon cannot read any more. Reads the
 * data file page by page, without LMDB, and names what is damaged; with
 * --repair a new store is made of all that can be read, and its rows are set
 * aside or put right as "spoolctl check --repair" does with a daemon.
 *
 * After: libspool/db_rescue.c, libspool/db_repair.c
 */
#include "spoolctl.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "conf.h"
#include "db_mend.h"
#include "db_rescue.h"
#include "msgid.h"
#include "text.h"

#define PATH_BYTES   4096
#define FINDINGS_MAX 1000 /* told one by one; more are counted */

struct offline {
    char spool[PATH_BYTES];
    int dir;
    int lock;
    struct stat owner;
    char keep[64];    /* the name of the old file */
    uint64_t keep_ms; /* of finished messages */
    struct db_rescue rescue;
    struct db_repair_counts repair;
    bool rescued; /* a new store was made */
    bool quiet;   /* the second time: all was told */
    enum ctl_output output;
    json_t *rows; /* JSON */
};

/* --- findings ---------------------------------------------------------------
 */

static void
add_finding(struct offline *offline, const char *id,
            const struct db_finding *finding, bool repairable)
{
    struct buf clean = {0};

    text_clean(view_of(finding->text), &clean);
    json_array_append_new(
        offline->rows,
        json_pack("{s:s, s:o, s:o, s:s%, s:b}", "what",
                  finding->what != NULL ? finding->what : "damaged", "message",
                  *id != '\0' ? json_string(id) : json_null(), "n",
                  finding->n != 0 ? json_integer((json_int_t)finding->n - 1)
                                  : json_null(),
                  "text", clean.data, clean.len, "repairable", repairable));
    buf_free(&clean);
}

static void
tell_finding(struct offline *offline, const struct db_finding *finding,
             bool repairable)
{
    char id[MSGID_TEXT_MAX] = "";

    if (finding->id != 0)
        msgid_print(finding->id, id);
    if (offline->output != OUTPUT_TEXT)
        add_finding(offline, id, finding, repairable);
    else
        text_paragraph("-", 2, TEXT_TROUBLE, "%s", finding->text);
}

/* Of the file. */
static void
on_finding(void *arg, const struct db_finding *finding)
{
    struct offline *offline = arg;

    if (!offline->quiet && offline->rescue.findings <= FINDINGS_MAX)
        tell_finding(offline, finding, false);
}

/* Of what the rows mean together; damaged ones were told before. */
static void
on_row_finding(void *arg, const struct db_finding *finding)
{
    struct offline *offline = arg;

    if (offline->repair.found <= FINDINGS_MAX &&
        !(offline->rescued && strcmp(finding->what, "damaged") == 0))
        tell_finding(offline, finding, finding->mend.what != MEND_NONE);
}

/* --- the spool --------------------------------------------------------------
 */

static int
open_spool(struct offline *offline, const char *conf_path, struct why *why)
{
    struct conf *conf = conf_load(conf_path, why);

    if (conf == NULL)
        return -1;
    snprintf(offline->spool, sizeof(offline->spool), "%.*s",
             (int)conf->spool.len, conf->spool.data);
    offline->keep_ms = conf->keep_delivered_ms;
    conf_free(&conf);
    offline->dir = open(offline->spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (offline->dir < 0 || fstat(offline->dir, &offline->owner) != 0)
        return why_text(why, "%s: %s", offline->spool, strerror(errno));
    return tool_lock_spool(offline->dir, offline->spool, &offline->owner,
                           &offline->lock, why);
}

static void
name_old(struct offline *offline)
{
    time_t now = (time_t)(clock_wall_ms() / 1000);
    struct tm tm;

    gmtime_r(&now, &tm);
    strftime(offline->keep, sizeof(offline->keep),
             "data.mdb.damaged-%Y%m%dT%H%M%SZ", &tm);
}

/* --- the end ----------------------------------------------------------------
 */

static void
tell_repair(const struct offline *offline)
{
    const struct db_rescue *rescue = &offline->rescue;
    const struct db_repair_counts *repair = &offline->repair;
    char count[MEMBER_TEXT_MAX];

    if (offline->rescued)
        text_paragraph("", 0, TEXT_PLAIN,
                       "A new store was made of %s. The old file is %s/%s.",
                       member_count(rescue->rows, "row", count), offline->spool,
                       offline->keep);
    text_paragraph("", 0, TEXT_PLAIN, "%s made in its rows, %" PRIu64 " left.",
                   member_count(repair->mended, "repair", count), repair->left);
    text_paragraph("", 0, TEXT_PLAIN,
                   "Now start spoold. \"spoolctl audit\" names messages that "
                   "are lost.");
}

static void
tell_text(const struct offline *offline, bool repaired)
{
    const struct db_rescue *rescue = &offline->rescue;
    char rows[MEMBER_TEXT_MAX], messages[MEMBER_TEXT_MAX];

    if (rescue->findings > FINDINGS_MAX)
        text_paragraph("-", 2, TEXT_TROUBLE, "and %" PRIu64 " more",
                       rescue->findings - FINDINGS_MAX);
    text_paragraph("", 0, TEXT_PLAIN, "%s read, with %s.",
                   member_count(rescue->rows, "row", rows),
                   member_count(rescue->messages, "message", messages));
    if (rescue->findings == 0 && !repaired)
        text_paragraph("", 0, TEXT_PLAIN,
                       "No damage in the file. \"spoolctl check\", with spoold "
                       "running, looks at what its rows mean together.");
    else if (rescue->findings > 0)
        text_paragraph("", 0, TEXT_PLAIN,
                       "Rows that are damaged: %" PRIu64
                       ", that are lost: %" PRIu64 ".",
                       rescue->damaged, rescue->missing);
    if (repaired)
        tell_repair(offline);
    else if (rescue->findings > 0)
        text_paragraph("", 0, TEXT_PLAIN,
                       "Nothing was changed. With --repair a new store is "
                       "made of what can be read.");
}

/* Exit status: something is wrong and was left so. */
static int
finish(const struct offline *offline, bool repaired)
{
    if (offline->output == OUTPUT_TEXT)
        tell_text(offline, repaired);
    else
        json_rows_print(offline->rows, offline->output);
    if (repaired ? offline->repair.left > 0 : offline->rescue.findings > 0)
        return CTL_EXIT_REFUSED;
    return CTL_EXIT_DONE;
}

/* The rows of a store whose pages are well by now. */
static int
mend(struct offline *offline, bool content, struct why *why)
{
    const struct db_mend_times times = {(uint64_t)clock_wall_ms(),
                                        offline->keep_ms};
    struct db *db = db_open_writer(offline->spool, why);
    int rc;

    if (db == NULL)
        return -1;
    rc = db_repair(db, true, content, &times, on_row_finding, offline,
                   &offline->repair, why);
    db_close(&db);
    /* LMDB may have made the lock file anew. */
    if (rc == 0 && fchownat(offline->dir, "lock.mdb", offline->owner.st_uid,
                            offline->owner.st_gid, AT_SYMLINK_NOFOLLOW) != 0)
        return why_text(why, "%s/lock.mdb: %s", offline->spool,
                        strerror(errno));
    return rc;
}

static int
rescue(struct offline *offline, struct why *why)
{
    name_old(offline);
    offline->quiet = true;
    offline->rescued = true;
    offline->rescue = (struct db_rescue){.fn = on_finding, .arg = offline};
    return db_rescue_make(offline->dir, offline->spool, &offline->owner,
                          offline->keep, &offline->rescue, why);
}

static int
check(struct offline *offline, const struct request *request, bool repair,
      struct why *why)
{
    bool content = request->options[CTL_OPTION_CONTENT] != NULL;

    if (open_spool(offline,
                   request->conf_path != NULL ? request->conf_path : USUAL_CONF,
                   why) != 0 ||
        db_rescue_look(offline->dir, &offline->rescue, why) != 0)
        return -1;
    if (!repair)
        return 0;
    if (offline->rescue.findings > 0 && rescue(offline, why) != 0)
        return -1;
    if (mend(offline, content, why) == 0)
        return 0;
    /* Every page was right, and yet LMDB cannot go from one to the other: a
     * head took the damage. A new store has heads of its own. */
    if (offline->rescued || rescue(offline, why) != 0)
        return -1;
    return mend(offline, content, why);
}

int
tool_check(const struct request *request)
{
    struct offline offline = {
        .dir = -1, .lock = -1, .output = request->output, .rows = json_array()};
    bool repair = request->options[CTL_OPTION_REPAIR] != NULL;
    int status = CTL_EXIT_REFUSED;
    struct why why;

    offline.rescue.fn = on_finding;
    offline.rescue.arg = &offline;
    if (request->options[CTL_OPTION_CONTENT] != NULL && !repair) {
        complain("--offline reads --content only with --repair");
        status = CTL_EXIT_USAGE;
    } else if (check(&offline, request, repair, &why) != 0) {
        complain("%s", why.text);
    } else {
        status = finish(&offline, repair);
    }
    json_decref(offline.rows);
    if (offline.dir >= 0)
        close(offline.dir);
    if (offline.lock >= 0) /* last: until here nobody starts */
        close(offline.lock);
    return status;
}
