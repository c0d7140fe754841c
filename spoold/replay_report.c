/* SPDX-License-Identifier: ISC */
/*
 * A notice to a sender as a message of its own: whether one may go, where to,
 * and the SUBMIT that brings it in, in the same commit as what it tells of.
 * Knows neither connections nor the loop.
 *
 * Before: replay_outcome.c, replay_delay.c, replay_return.c
 * After:  store_submit.c
 */
#include "replay.h"

#include "body.h"
#include "dsn_param.h"
#include "header.h"
#include "log.h"
#include "msgid.h"
#include "sealing.h"

/* A notice stays in memory whatever its size: REPLAY_TRIES_MAX recipients and
 * REPLAY_REPORT_CONTENT_MAX bound it. */
#define INLINE_MAX (8 * 1024 * 1024)

static struct view
domain_of(struct view address)
{
    const char *at =
        address.len > 0 ? memrchr(address.data, '@', address.len) : NULL;

    if (at == NULL)
        return (struct view){NULL, 0};
    return view_skip(address, (size_t)(at - address.data) + 1);
}

/* RFC 3461 4.1: without NOTIFY, failures and delays are told of. */
static bool
is_asked_for(const struct delivery *row, enum replay_report_kind kind)
{
    static const uint64_t bits[] = {
        [REPORT_FAILURE] = DSN_NOTIFY_FAILURE,
        [REPORT_DELAY] = DSN_NOTIFY_DELAY,
        [REPORT_SUCCESS] = DSN_NOTIFY_SUCCESS,
    };

    if (row->notify == 0)
        return kind != REPORT_SUCCESS;
    return (row->notify & bits[kind]) != 0;
}

uint64_t
replay_report_untold(const struct conf *conf, const struct message *message,
                     const struct delivery *row, enum replay_report_kind kind)
{
    const struct conf_domain *domain =
        conf_domain_for(conf, row->recipient, row->target);

    if (message->sender.len == 0)
        return UNTOLD_NULL_SENDER;
    if (!is_asked_for(row, kind))
        return UNTOLD_NOTIFY;
    if (domain != NULL && domain->returns == CONF_RETURN_NEVER)
        return UNTOLD_POLICY;
    if (replay_report_way_back(conf, message, row).len == 0)
        return UNTOLD_NO_WAY;
    return 0;
}

struct view
replay_report_way_back(const struct conf *conf, const struct message *message,
                       const struct delivery *row)
{
    const struct conf_domain *domain =
        conf_domain_by_name(conf, domain_of(message->sender));
    struct view target = {NULL, 0};

    if (domain != NULL) {
        target = domain->target;
    } else {
        domain = conf_domain_for(conf, row->recipient, row->target);
        if (domain != NULL)
            target = domain->return_target.len > 0 ? domain->return_target
                                                   : domain->target;
    }
    if (target.len == 0 || conf_target_by_name(conf, target) == NULL)
        return (struct view){NULL, 0};
    return target;
}

/* --- the SUBMIT ----------------------------------------------------------- */

/* The row of the notice, encoded. */
static void
encode_message(const struct dsn *dsn, struct view text,
               const struct body_writer *writer, const struct seal_key *key,
               struct view *data_key, struct buf *out)
{
    struct header header;
    struct message message;

    header_init(&header, dsn->hostname);
    header_scan(&header, text);
    message = (struct message){
        .arrived_ms = (uint64_t)dsn->now_ms,
        .origin = ORIGIN_DSN,
        .flags = (dsn_is_8bit(dsn) ? MESSAGE_8BIT : 0u) |
                 (dsn_is_utf8(dsn) ? MESSAGE_UTF8 : 0u),
        .size = text.len,
        .subject = {header.subject, header.subject_len},
        .message_id = {header.message_id, header.message_id_len},
        .about = dsn->original_id,
    };
    *data_key = sealing_describe(&message, writer, key);
    record_encode(&message_record, &message, out);
}

static void
encode_submit(const struct dsn *dsn, int compression, struct view target,
              struct replay_notice *notice)
{
    struct delivery delivery = {
        .recipient = dsn->sender, .target = target, .state = DELIVERY_READY};
    struct proto_submit submit = {.id = dsn->id, .deliveries = {&delivery, 1}};
    struct body_writer *writer = sealing_writer(
        compression, INLINE_MAX, dsn->id, (uint64_t)dsn->now_ms, &notice->key);
    struct buf text = {0}, row = {0};
    struct why why;
    int fd;

    dsn_write(dsn, &text);
    if (body_write(writer, buf_view(&text), &why) != 0 ||
        body_finish(writer, &submit.content, &fd, &submit.content_len, &why) !=
            0 ||
        fd >= 0)
        bug("a notice of %zu bytes was not kept in memory", text.len);
    encode_message(dsn, buf_view(&text), writer, &notice->key, &submit.data_key,
                   &row);
    submit.message = buf_view(&row);
    record_encode(&proto_submit_record, &submit, &notice->submit);
    body_writer_free(&writer);
    buf_free(&text);
    buf_free(&row);
}

void
replay_report_write(const struct replay_report *report,
                    struct replay_notice *notice)
{
    const struct message *message = report->message;
    struct dsn dsn = {
        .hostname = report->conf->hostname,
        .sender = message->sender,
        .original_id = report->id,
        .message_id = message->message_id,
        .envid = message->envid,
        .now_ms = (int64_t)report->now_ms,
        .arrived_ms = (int64_t)message->arrived_ms,
        .recipients = report->recipients,
        .n_recipients = report->n_recipients,
        .header = dsn_header_of(report->original),
        .content = report->whole ? report->original : (struct view){0},
    };

    notice->id = msgid_next(report->ids, (int64_t)report->now_ms);
    dsn.id = notice->id;
    encode_submit(&dsn, (int)report->conf->compression, report->target, notice);
}

void
replay_notice_clear(struct replay_notice *notice)
{
    buf_free(&notice->submit);
    notice->id = 0;
}
