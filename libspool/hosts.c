/* SPDX-License-Identifier: ISC */
#include "hosts.h"

#include <arpa/inet.h>
#include <netinet/in.h>

/* The next line without its comment; false after the last. */
static bool
take_line(struct view *text, struct view *line)
{
    const char *end;

    if (text->len == 0)
        return false;
    end = memchr(text->data, '\n', text->len);
    *line = *text;
    if (end != NULL)
        line->len = (size_t)(end - text->data);
    *text = view_skip(*text, line->len + (end != NULL));
    for (size_t i = 0; i < line->len; i++)
        if (line->data[i] == '#' || line->data[i] == ';')
            line->len = i;
    return true;
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next word; empty: there is none. */
static struct view
take_word(struct view *line)
{
    struct view word;

    while (line->len > 0 && is_blank(line->data[0]))
        *line = view_skip(*line, 1);
    word = (struct view){line->data, 0};
    while (word.len < line->len && !is_blank(line->data[word.len]))
        word.len++;
    *line = view_skip(*line, word.len);
    return word;
}

static bool
read_address(struct view word, struct sockaddr_storage *address)
{
    struct sockaddr_in *in = (struct sockaddr_in *)address;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;
    char text[INET6_ADDRSTRLEN];

    if (word.len == 0 || word.len >= sizeof(text) ||
        memchr(word.data, '\0', word.len) != NULL)
        return false;
    memcpy(text, word.data, word.len);
    text[word.len] = '\0';
    memset(address, 0, sizeof(*address));
    if (inet_pton(AF_INET, text, &in->sin_addr) == 1)
        address->ss_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1)
        address->ss_family = AF_INET6;
    return address->ss_family != 0;
}

size_t
hosts_find(struct view text, struct view name,
           struct sockaddr_storage *addresses, size_t max)
{
    struct view line, word;
    size_t n = 0;

    while (n < max && name.len > 0 && take_line(&text, &line)) {
        struct view address = take_word(&line);

        while ((word = take_word(&line)).len > 0)
            if (view_equal_nocase(word, name)) {
                if (read_address(address, &addresses[n]))
                    n++;
                break;
            }
    }
    return n;
}

size_t
hosts_servers(struct view text, struct view *servers, size_t max)
{
    struct sockaddr_storage address;
    struct view line, word;
    size_t n = 0;

    while (n < max && take_line(&text, &line)) {
        if (!view_equal(take_word(&line), VIEW("nameserver")))
            continue;
        word = take_word(&line);
        if (read_address(word, &address))
            servers[n++] = word;
    }
    return n;
}
