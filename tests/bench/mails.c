/* SPDX-License-Identifier: ISC */
/*
 * Reading a file of messages and reporting times, for the measuring
 * programs. The file stays mapped as long as the program lives; a mistake
 * in it ends the program, since a benchmark of half the load is worthless.
 */
#include "mails.h"

#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *
mails_map(const char *path, size_t *bytes)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) < 0)
        err(1, "%s", path);
    *bytes = (size_t)st.st_size;
    char *map =
        mmap(NULL, *bytes, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (map == MAP_FAILED)
        err(1, "%s: mmap", path);
    close(fd);
    return map;
}

/* Cuts the word that ends with END off the front of the text. */
static const char *
mails_word(const char **at, const char *stop, char end, size_t *bytes)
{
    const char *word = *at;
    const char *found = memchr(word, end, (size_t)(stop - word));

    if (found == NULL)
        errx(1, "file of messages: a head line is broken");
    *bytes = (size_t)(found - word);
    *at = found + 1;
    return word;
}

static const char *
mails_cut(struct mail *mail, const char *at, const char *stop)
{
    size_t digits;
    const char *length = mails_word(&at, stop, ' ', &digits);

    mail->content_bytes = strtoul(length, NULL, 10);
    mail->sender = mails_word(&at, stop, ' ', &mail->sender_bytes);
    mail->recipient = mails_word(&at, stop, '\n', &mail->recipient_bytes);
    mail->content = at;
    if (mail->content_bytes > (size_t)(stop - at))
        errx(1, "file of messages: the last one is cut short");
    return at + mail->content_bytes;
}

void
mails_load(struct mails *mails, const char *path)
{
    size_t bytes;
    size_t room = 0;
    const char *at = mails_map(path, &bytes);
    const char *stop = at + bytes;

    *mails = (struct mails){0};
    while (at < stop) {
        if (mails->count == room) {
            room = room * 2 + 1024;
            mails->list = realloc(mails->list, room * sizeof(*mails->list));
            if (mails->list == NULL)
                err(1, "realloc");
        }
        at = mails_cut(&mails->list[mails->count++], at, stop);
    }
    if (mails->count == 0)
        errx(1, "%s: no messages", path);
}

size_t
mails_number(const char *text)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);

    if (number == 0 || *end != '\0')
        errx(2, "%s: not a number above zero", text);
    return number;
}

uint64_t
mails_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* User and system time of this process. */
static double
mails_cpu_seconds(void)
{
    struct rusage used;

    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static int
mails_compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

void
mails_report(uint64_t *took_ns, size_t count, uint64_t total_ns)
{
    qsort(took_ns, count, sizeof(*took_ns), mails_compare);
    printf("{\"count\": %zu, \"seconds\": %.6f, \"p50_us\": %" PRIu64
           ", \"p99_us\": %" PRIu64 ", \"most_us\": %" PRIu64
           ", \"cpu_seconds\": %.6f}\n",
           count, (double)total_ns / 1e9, took_ns[count / 2] / 1000,
           took_ns[count * 99 / 100] / 1000, took_ns[count - 1] / 1000,
           mails_cpu_seconds());
}
