/* SPDX-License-Identifier: ISC */
/*
 * Prints what IMAP says of messages, for comparison with another server. On
 * standard input: for each message its length and a line end, then its
 * bytes. On standard output, for each: envelope, body, bodystructure, the
 * sent date and the structure, each as length, line end and bytes.
 *
 *     mime_show N      every message is scanned in pieces of N bytes
 *     mime_show -t     only scans and packs, ten times; prints MB/s
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "buf.h"
#include "mem.h"
#include "mime.h"
#include "mime_decode.h"
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

static void
add_time(struct view content, double seconds[2], size_t *packed)
{
    struct timespec a, b, c;
    struct buf structure = {0};
    struct mime *mime;

    for (int i = 0; i < 10; i++) {
        clock_gettime(CLOCK_MONOTONIC, &a);
        mime = mime_scan_whole(content);
        clock_gettime(CLOCK_MONOTONIC, &b);
        buf_reset(&structure);
        mime_structure_encode(mime, &structure);
        clock_gettime(CLOCK_MONOTONIC, &c);
        mime_free(&mime);
        seconds[0] += (double)(b.tv_sec - a.tv_sec) +
                      1e-9 * (double)(b.tv_nsec - a.tv_nsec);
        seconds[1] += (double)(c.tv_sec - b.tv_sec) +
                      1e-9 * (double)(c.tv_nsec - b.tv_nsec);
    }
    *packed += structure.len;
    buf_free(&structure);
}

int
main(int argc, char **argv)
{
    bool times = argc > 1 && strcmp(argv[1], "-t") == 0;
    size_t piece = argc > 1 && !times ? strtoul(argv[1], NULL, 10) : SIZE_MAX;
    double seconds[2] = {0, 0};
    size_t bytes = 0, packed = 0, count = 0, len;
    int status = 0;

    mime_decode_init();
    while (scanf("%zu", &len) == 1 && getchar() == '\n') {
        char *content = mem_alloc(len);

        if (fread(content, 1, len, stdin) != len)
            return 1;
        if (times)
            add_time((struct view){content, len}, seconds, &packed);
        else
            status |= show_message((struct view){content, len}, piece);
        bytes += len;
        count++;
        free(content);
    }
    if (times)
        printf("%zu messages, %zu bytes; scan %.0f MB/s, pack %.2f us, "
               "structure %.0f bytes\n",
               count, bytes, 10 * (double)bytes / seconds[0] / 1e6,
               1e5 * seconds[1] / (double)count,
               (double)packed / (double)count);
    return status != 0;
}
