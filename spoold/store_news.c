/* SPDX-License-Identifier: ISC */
/*
 * What came into mailboxes and left them, for whoever watches: after the
 * commit imap is told. One message is under way at a time, so a slow imap
 * holds up nothing here, and what piles up meanwhile is bounded: past the
 * bound it only hears that much happened, and looks for itself.
 *
 * Before: store_batch.c   After: imap (NEWS)
 */
#include "loop.h"
#include "peer.h"
#include "role.h"
#include "store_mailbox.h"

/* News wait this long for more of them; a user does not notice. */
#define GATHER_MS 20
#define NEWS_MAX  (64 * 1024)

static struct {
    struct buf waiting; /* encoded proto_news */
    bool too_much;
    bool under_way; /* NEWS_SEEN has not come */
    struct loop_timer *timer;
} news;

static void
send_news(void *arg)
{
    struct proto_news message = {0};

    (void)arg;
    if (news.under_way || (news.waiting.len == 0 && !news.too_much))
        return;
    if (!news.too_much &&
        record_decode(&proto_news_record, buf_view(&news.waiting), &message,
                      NULL) != 0)
        news.too_much = true;
    message.all = news.too_much;
    peer_send(ROLE_IMAP, PROTO_NEWS, &message, -1);
    record_clear(&proto_news_record, &message);
    news.under_way = true;
    news.too_much = false;
    buf_reset(&news.waiting);
}

void
store_news_add(struct view more)
{
    if (more.len == 0 || !peer_is_up(ROLE_IMAP))
        return;
    if (news.timer == NULL)
        news.timer = loop_timer_new(send_news, NULL);
    if (news.waiting.len == 0 && !news.too_much)
        loop_timer_set(news.timer, GATHER_MS);
    if (news.waiting.len + more.len > NEWS_MAX)
        news.too_much = true;
    if (news.too_much)
        buf_reset(&news.waiting);
    else
        buf_add_view(&news.waiting, more);
}

void
store_news_seen(void)
{
    news.under_way = false;
    send_news(NULL);
}

void
store_news_lost(void)
{
    news.under_way = false;
    news.too_much = false;
    buf_reset(&news.waiting);
}
