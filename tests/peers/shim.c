/*
 * Lets Debian's real xenstored and oxenstored run on a machine without Xen (LD_PRELOAD, see __init__.py).
 *
 * Environment: PEER_DIR, a private directory; PEER_FD, one end of a socket pair whose other end the parent
 * holds. The daemon writes a byte there once it listens, and the kernel kills it when the parent's end
 * closes, however the parent dies.
 *
 * In PEER_DIR: whatever the daemon believes to be in the directories of `moved` (so several run at once,
 * without root); ring-DOMID, the page that this domain shares with the store; evtchn, a FIFO of u32 ports
 * that are pending for the daemon; notify, a FIFO of u32 ports that the daemon has notified; gone-DOMID, whose
 * existence says that this domain is dead. Local and remote ports are equal; VIRQ_DOM_EXC is port 1.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <xenctrl.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int evtchn = -1, notify = -1;

/* ------------------------------------------------------------------ private paths */

static const char *const moved[] = {
    "/var/run/xenstored", "/run/xenstored", "/var/run/xen", "/run/xen",
    "/var/lib/xenstored", "/var/log/xen",   "/proc/xen",
};

static const char *own(char *buf, const char *format, unsigned int n)
{
    int used = snprintf(buf, PATH_MAX, "%s/", getenv("PEER_DIR"));

    snprintf(buf + used, PATH_MAX - used, format, n);
    return buf;
}

static const char *move(char *buf, const char *path)
{
    for (size_t i = 0; path && i < sizeof(moved) / sizeof(*moved); i++) {
        size_t len = strlen(moved[i]);

        if (!strncmp(path, moved[i], len) && (path[len] == '/' || !path[len])) {
            snprintf(buf, PATH_MAX, "%s%s", getenv("PEER_DIR"), path + len);
            return buf;
        }
    }
    return path;
}

#define MOVE(name, params, ...) \
    int name params { char buf[PATH_MAX]; return REAL(name)(move(buf, path), ##__VA_ARGS__); }
#define MOVE_OPEN(name)                                                  \
    int name(const char *path, int flags, ...)                           \
    {                                                                    \
        char buf[PATH_MAX];                                              \
        va_list args;                                                    \
        va_start(args, flags); /* read even if not passed: harmless */   \
        mode_t mode = va_arg(args, mode_t);                              \
        va_end(args);                                                    \
        return REAL(name)(move(buf, path), flags, mode);                 \
    }

MOVE_OPEN(open)
MOVE_OPEN(open64)
MOVE(access, (const char *path, int mode), mode)
MOVE(chmod, (const char *path, mode_t mode), mode)
MOVE(mkdir, (const char *path, mode_t mode), mode)
MOVE(stat, (const char *path, struct stat *st), st)
MOVE(stat64, (const char *path, struct stat64 *st), st)
MOVE(unlink, (const char *path))

int bind(int fd, const struct sockaddr *addr, socklen_t len)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    char buf[PATH_MAX];

    if (addr->sa_family != AF_UNIX)
        return REAL(bind)(fd, addr, len);
    strncpy(un.sun_path, move(buf, ((const struct sockaddr_un *)addr)->sun_path), sizeof(un.sun_path) - 1);
    return REAL(bind)(fd, (const struct sockaddr *)&un, sizeof(un));
}

int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
    return 0; /* oxenstored raises its number of files and will not start where it may not */
}

/* ------------------------------------------------------------------ life and death */

int listen(int fd, int backlog)
{
    int rc = REAL(listen)(fd, backlog);

    if (!rc && getenv("PEER_FD"))
        (void)!write(atoi(getenv("PEER_FD")), "L", 1);
    return rc;
}

__attribute__((constructor)) static void start(void)
{
    struct pollfd hup = {.fd = getenv("PEER_FD") ? atoi(getenv("PEER_FD")) : -1};
    char buf[PATH_MAX];

    if (hup.fd < 0)
        return;
    fcntl(hup.fd, F_SETOWN, getpid());
    fcntl(hup.fd, F_SETSIG, SIGKILL);
    fcntl(hup.fd, F_SETFL, O_ASYNC); /* the only thing ever to happen at this end is the parent's leaving */
    if (poll(&hup, 1, 0) > 0) /* too late for a signal */
        _exit(1);
    evtchn = REAL(open)(own(buf, "evtchn", 0), O_RDWR | O_NONBLOCK | O_CLOEXEC);
    notify = REAL(open)(own(buf, "notify", 0), O_RDWR | O_NONBLOCK | O_CLOEXEC);
}

/* ------------------------------------------------------------------ libxenevtchn */

/* The libraries' handles are opaque: any address will do. */
#define HANDLE ((void *)&evtchn)

xenevtchn_handle *xenevtchn_open(xentoollog_logger *log, unsigned int flags) { return HANDLE; }
xenevtchn_handle *xenevtchn_fdopen(xentoollog_logger *log, int fd, unsigned int flags) { return HANDLE; }
int xenevtchn_close(xenevtchn_handle *h) { return 0; }
int xenevtchn_fd(xenevtchn_handle *h) { return evtchn; }
int xenevtchn_unbind(xenevtchn_handle *h, evtchn_port_t port) { return 0; }
int xenevtchn_unmask(xenevtchn_handle *h, evtchn_port_t port) { return 0; }
xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *h, unsigned int virq) { return 1; }

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *h, uint32_t domid, evtchn_port_t port)
{
    return port;
}

int xenevtchn_notify(xenevtchn_handle *h, evtchn_port_t port)
{
    (void)!write(notify, &port, sizeof(port)); /* full: nobody listens */
    return 0;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *h)
{
    evtchn_port_t port;

    return read(evtchn, &port, sizeof(port)) == sizeof(port) ? (xenevtchn_port_or_error_t)port : -1;
}

/* ------------------------------------------------------------------ shared pages */

static void *ring(uint32_t domid)
{
    char buf[PATH_MAX];
    int fd = REAL(open)(own(buf, "ring-%u", domid), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void *page = MAP_FAILED;

    if (fd >= 0 && !ftruncate(fd, XC_PAGE_SIZE))
        page = mmap(NULL, XC_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return page == MAP_FAILED ? NULL : page;
}

xengnttab_handle *xengnttab_open(xentoollog_logger *log, unsigned int flags) { return HANDLE; }
int xengnttab_close(xengnttab_handle *h) { return 0; }
int xengnttab_set_max_grants(xengnttab_handle *h, uint32_t n) { return 0; }
int xengnttab_unmap(xengnttab_handle *h, void *page, uint32_t n) { return munmap(page, XC_PAGE_SIZE); }

void *xengnttab_map_grant_ref(xengnttab_handle *h, uint32_t domid, uint32_t ref, int prot)
{
    return ring(domid);
}

void *xc_map_foreign_range(xc_interface *h, uint32_t domid, int size, int prot, unsigned long gfn)
{
    return ring(domid);
}

/* ------------------------------------------------------------------ domain look-ups */

xc_interface *xc_interface_open(xentoollog_logger *log, xentoollog_logger *build, unsigned int flags)
{
    return HANDLE;
}

int xc_interface_close(xc_interface *h) { return 0; }

/* Every number has a living domain, unless gone-DOMID says otherwise. */
static int gone(uint32_t domid)
{
    char buf[PATH_MAX];

    return domid >= DOMID_FIRST_RESERVED || !REAL(access)(own(buf, "gone-%u", domid), F_OK);
}

int xc_domain_getinfolist(xc_interface *h, uint32_t domid, unsigned int max, xc_domaininfo_t *info)
{
    if (gone(domid))
        return 0;
    *info = (xc_domaininfo_t){.domain = domid, .flags = XEN_DOMINF_running};
    return 1;
}

#if XEN_DOMCTL_INTERFACE_VERSION < 0x16 /* up to Xen 4.17 */
int xc_domain_getinfo(xc_interface *h, uint32_t domid, unsigned int max, xc_dominfo_t *info)
{
    if (gone(domid))
        return 0;
    *info = (xc_dominfo_t){.domid = domid, .running = 1};
    return 1;
}
#else
int xc_domain_getinfo_single(xc_interface *h, uint32_t domid, xc_domaininfo_t *info)
{
    if (xc_domain_getinfolist(h, domid, 1, info) == 1)
        return 0;
    errno = ESRCH;
    return -1;
}
#endif
