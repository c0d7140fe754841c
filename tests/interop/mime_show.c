/* SPDX-License-Identifier: ISC */
/*
 * Prints what IMAP says of messages, for comparison with another server. On
 * standard input: for each message its length and a line end, then its
 * bytes. On standard output, for each: envelope, body, bodystructure, the
 * sent date and the structure, each as length, line end and bytes.
 *
 *     mime_show N      every message is scanned in pieces of N bytes
 *     mime_show -t     prints how long each step takes, and nothing else
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "buf.h"
#include "mem.h"
#include "mime.h"
#include "mime_decode.h"
#include "mime_search.h"
#include "mime_structure.h"

static void
show(struct view text)
{
    printf("%zu\n", text.len);
    fwrite(text.data, 1, text.len, stdout);
}

static void
scan(struct view content, size_t piece, struct buf *structure)
{
    struct mime_scan *scan = mime_scan_new();
    struct mime *mime;

    while (content.len > 0) {
        size_t n = piece < content.len ? piece : content.len;

        mime_scan_feed(scan, (struct view){content.data, n});
        content = view_skip(content, n);
    }
    mime = mime_scan_end(&scan);
    mime_structure_encode(mime, structure);
    mime_free(&mime);
}

static int
show_message(struct view content, size_t piece)
{
    struct buf structure = {0}, out = {0};
    struct mime_sent sent;
    struct view packed;
    int status;

    scan(content, piece, &structure);
    packed = buf_view(&structure);
    status = mime_structure_print_envelope(packed, &out);
    show(buf_view(&out));
    buf_reset(&out);
    status |= mime_structure_print_body(packed, &out);
    show(buf_view(&out));
    buf_reset(&out);
    status |= mime_structure_print_bodystructure(packed, &out);
    show(buf_view(&out));
    buf_reset(&out);
    status |= mime_structure_sent(packed, &sent);
    if (sent.known)
        buf_addf(&out, "%lld %d", (long long)sent.utc_s, sent.zone_minutes);
    show(buf_view(&out));
    show(packed);
    buf_free(&out);
    buf_free(&structure);
    return status;
}

struct times {
    double scan, pack, print, search;
    size_t packed;
};

static double
seconds_since(const struct timespec *begin)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - begin->tv_sec) +
           1e-9 * (double)(now.tv_nsec - begin->tv_nsec);
}

static void
time_one(struct view content, struct mime_search *search, struct times *times)
{
    struct buf structure = {0}, out = {0};
    struct timespec begin;
    struct mime *mime;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    mime = mime_scan_whole(content);
    times->scan += seconds_since(&begin);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    mime_structure_encode(mime, &structure);
    times->pack += seconds_since(&begin);
    mime_free(&mime);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    mime_structure_print_envelope(buf_view(&structure), &out);
    times->print += seconds_since(&begin);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    mime_search_begin(search, buf_view(&structure));
    mime_search_feed(search, content);
    mime_search_end(search);
    times->search += seconds_since(&begin);
    times->packed += structure.len;
    buf_free(&structure);
    buf_free(&out);
}

int
main(int argc, char **argv)
{
    struct mime_search_key key = {
        MIME_SEARCH_TEXT, {NULL, 0}, VIEW("nowhere!")};
    bool is_timed = argc > 1 && strcmp(argv[1], "-t") == 0;
    size_t piece =
        argc > 1 && !is_timed ? strtoul(argv[1], NULL, 10) : SIZE_MAX;
    struct mime_search *search;
    struct times times = {0};
    size_t bytes = 0, count = 0, len;
    int status = 0;

    mime_decode_init();
    mime_search_new(&key, 1, &search, NULL);
    while (scanf("%zu", &len) == 1 && getchar() == '\n') {
        char *content = mem_alloc(len);

        if (fread(content, 1, len, stdin) != len)
            return 1;
        if (is_timed)
            time_one((struct view){content, len}, search, &times);
        else
            status |= show_message((struct view){content, len}, piece);
        bytes += len;
        count++;
        free(content);
    }
    if (is_timed)
        printf("%zu messages, %zu bytes; scan %.0f MB/s, pack %.2f us and "
               "%.0f bytes, envelope %.2f us, SEARCH TEXT %.0f MB/s\n",
               count, bytes, (double)bytes / times.scan / 1e6,
               1e6 * times.pack / (double)count,
               (double)times.packed / (double)count,
               1e6 * times.print / (double)count,
               (double)bytes / times.search / 1e6);
    mime_search_free(&search);
    return status != 0;
}
