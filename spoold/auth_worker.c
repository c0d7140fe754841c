/* SPDX-License-Identifier: ISC */
/*
 * Hashing, which takes a tenth of a second and 64 MB a time, in a few threads:
 * the event loop answers others meanwhile. A thread sees one job, which
 * nobody else touches, and gives it back through a list and an eventfd.
 *
 * Before: auth_login.c   After: auth_login.c
 */
#include <sys/eventfd.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "auth.h"
#include "log.h"
#include "loop.h"

#define STACK_BYTES (256 * 1024)

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wanted;
    struct auth_job *todo;
    struct auth_job **last;
    struct auth_job *done;
    int done_fd;
} workers = {.lock = PTHREAD_MUTEX_INITIALIZER,
             .wanted = PTHREAD_COND_INITIALIZER,
             .last = &workers.todo};

static void
work(struct auth_job *job)
{
    struct view password = {job->password, job->password_len};
    struct why why;

    for (size_t i = 0; i < job->n_hashes && !job->right; i++)
        job->right = password_verify(view_of(job->hashes[i]), password);
    if (job->n_hashes == 0 && !job->wants_hash)
        password_verify_nobody(password);
    if (job->wants_hash && !job->right &&
        password_hash(password, job->made, &why) != 0)
        log_warn("%s", why.text);
}

static void *
run(void *arg)
{
    static const uint64_t one = 1;

    pthread_mutex_lock(&workers.lock);
    for (;;) {
        struct auth_job *job = workers.todo;
        ssize_t ignored;

        if (job == NULL) {
            pthread_cond_wait(&workers.wanted, &workers.lock);
            continue;
        }
        workers.todo = job->next;
        if (workers.todo == NULL)
            workers.last = &workers.todo;
        pthread_mutex_unlock(&workers.lock);
        work(job);
        pthread_mutex_lock(&workers.lock);
        job->next = workers.done;
        workers.done = job;
        ignored = write(workers.done_fd, &one, sizeof(one));
        (void)ignored;
    }
    return arg;
}

static void
on_done(int fd, void *arg)
{
    struct auth_job *job, *next;
    uint64_t count;

    (void)arg;
    if (read(fd, &count, sizeof(count)) != (ssize_t)sizeof(count))
        return;
    pthread_mutex_lock(&workers.lock);
    job = workers.done;
    workers.done = NULL;
    pthread_mutex_unlock(&workers.lock);
    for (; job != NULL; job = next) {
        next = job->next;
        job->done(job->arg);
    }
}

void
auth_worker_start(void)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_t thread;

    workers.done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (workers.done_fd < 0)
        fatal("an eventfd for hashes: %s", strerror(errno));
    loop_watch_new(workers.done_fd, on_done, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    for (int i = 0; i < AUTH_WORKERS; i++)
        if ((errno = pthread_create(&thread, &attributes, run, NULL)) != 0)
            fatal("a thread for hashes: %s", strerror(errno));
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void
auth_worker_add(struct auth_job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&workers.lock);
    *workers.last = job;
    workers.last = &job->next;
    pthread_cond_signal(&workers.wanted);
    pthread_mutex_unlock(&workers.lock);
}
