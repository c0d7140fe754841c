/* SPDX-License-Identifier: ISC */
#include "tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <stdlib.h>

#include "mem.h"

struct tls {
    SSL_CTX *context;
};

static int
tls_why(struct why *why, const char *what)
{
    char text[160] = "";

    ERR_error_string_n(ERR_get_error(), text, sizeof(text));
    ERR_clear_error();
    return why_text(why, "%s: %s", what, text);
}

/* The first certificate of the PEM text is ours, the others its chain. */
static int
tls_use_chain(SSL_CTX *context, BIO *pem, struct why *why)
{
    X509 *leaf = PEM_read_bio_X509_AUX(pem, NULL, NULL, NULL);
    X509 *link;
    int ok;

    if (leaf == NULL)
        return tls_why(why, "certificate");
    ok = SSL_CTX_use_certificate(context, leaf);
    X509_free(leaf);
    if (ok != 1)
        return tls_why(why, "certificate");
    while ((link = PEM_read_bio_X509(pem, NULL, NULL, NULL)) != NULL)
        if (SSL_CTX_add0_chain_cert(context, link) != 1) {
            X509_free(link);
            return tls_why(why, "certificate chain");
        }
    ERR_clear_error(); /* the end of the text is no error */
    return 0;
}

static int
tls_use_key(SSL_CTX *context, BIO *pem, struct why *why)
{
    EVP_PKEY *key = PEM_read_bio_PrivateKey(pem, NULL, NULL, NULL);
    int ok;

    if (key == NULL)
        return tls_why(why, "key");
    ok = SSL_CTX_use_PrivateKey(context, key) == 1 &&
         SSL_CTX_check_private_key(context) == 1;
    EVP_PKEY_free(key);
    return ok ? 0 : tls_why(why, "key");
}

struct tls *
tls_server_new(struct view certificate, struct view key, struct why *why)
{
    struct tls *tls = mem_alloc(sizeof(*tls));
    BIO *chain_pem = BIO_new_mem_buf(certificate.data, (int)certificate.len);
    BIO *key_pem = BIO_new_mem_buf(key.data, (int)key.len);

    tls->context = SSL_CTX_new(TLS_server_method());
    if (tls->context == NULL || chain_pem == NULL || key_pem == NULL ||
        SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION) != 1) {
        tls_why(why, "TLS");
        tls_free(&tls);
    } else if (tls_use_chain(tls->context, chain_pem, why) != 0 ||
               tls_use_key(tls->context, key_pem, why) != 0) {
        tls_free(&tls);
    } else {
        /* Idle connections give their record buffers back: 15 KB each
         * instead of 48. Cut-off sessions end like orderly ones, since SMTP
         * has its own framing. What was read is written over: it is
         * somebody's mail. */
        SSL_CTX_set_mode(tls->context, SSL_MODE_RELEASE_BUFFERS |
                                           SSL_MODE_ENABLE_PARTIAL_WRITE |
                                           SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        SSL_CTX_set_options(tls->context, SSL_OP_IGNORE_UNEXPECTED_EOF |
                                              SSL_OP_NO_RENEGOTIATION |
                                              SSL_OP_NO_COMPRESSION |
                                              SSL_OP_CLEANSE_PLAINTEXT);
        /* Tickets need no memory here; a session cache would. */
        SSL_CTX_set_session_cache_mode(tls->context, SSL_SESS_CACHE_OFF);
    }
    BIO_free(chain_pem);
    BIO_free(key_pem);
    return tls;
}

void
tls_free(struct tls **tls)
{
    if (*tls == NULL)
        return;
    SSL_CTX_free((*tls)->context);
    free(*tls);
    *tls = NULL;
}

SSL *
tls_connection(struct tls *tls)
{
    return SSL_new(tls->context);
}
