/* SPDX-License-Identifier: ISC */
/*
 * A line of a manifest names nothing outside of its directory; the header of
 * a message of another program gives an envelope or a reason.
 */
#include <assert.h>
#include <stdlib.h>

#include "addr.h"
#include "import.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len);

/* What import_manifest.c calls beside its parser. */
json_t *
import_json_text(struct view text)
{
    return json_stringn(text.len > 0 ? text.data : "", text.len);
}

int
import_send(json_t *message, uint64_t size, import_read_fn *read, void *arg)
{
    (void)message, (void)size, (void)read, (void)arg;
    abort();
}

void
import_failed(const char *source, const char *format, ...)
{
    (void)source, (void)format;
    abort();
}

int
import_open(int directory, const char *name, uint64_t *size, struct why *why)
{
    (void)directory, (void)name, (void)size, (void)why;
    abort();
}

int
import_read_file(void *arg, struct buf *out, struct why *why)
{
    (void)arg, (void)out, (void)why;
    abort();
}

int
import_mbox_message(int fd, json_t *message, uint64_t offset, uint64_t length)
{
    (void)fd, (void)message, (void)offset, (void)length;
    abort();
}

static void
check_manifest(struct view line, bool mailbox)
{
    struct manifest_place place;
    struct why why = {0};
    json_t *message = manifest_parse(line, mailbox, &place, &why);

    if (message == NULL) {
        assert(why.text[0] != '\0');
        return;
    }
    assert(json_is_object(message));
    if (mailbox) {
        assert(place.file == NULL && place.length > 0);
        assert(place.offset + place.length <= INT64_MAX);
    } else {
        assert(place.file[0] != '/' && place.file[0] != '.');
        assert(strstr(place.file, "/.") == NULL);
        assert(strstr(place.file, "//") == NULL);
    }
    json_decref(message);
}

static void
check_envelope(struct view header)
{
    json_t *message = json_object();
    struct why why = {0};
    size_t i;
    json_t *one;

    if (import_envelope(header, (struct view){"", 0}, message, &why) != 0) {
        assert(why.text[0] != '\0');
    } else {
        json_t *recipients = json_object_get(message, "recipients");

        assert(json_is_string(json_object_get(message, "sender")));
        assert(json_array_size(recipients) > 0);
        json_array_foreach (recipients, i, one) {
            const char *text =
                json_string_value(json_object_get(one, "address"));
            struct addr addr;

            assert(text != NULL);
            assert(addr_parse_mailbox(view_of(text), &addr, NULL) == 0);
        }
    }
    json_decref(message);
}

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t len)
{
    struct view bytes = {(const char *)data, len};

    check_manifest(bytes, false);
    check_manifest(bytes, true);
    check_envelope(bytes);
    return 0;
}
