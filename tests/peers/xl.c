/*
 * Lets Debian's real xl read a domain's configuration file on a machine without Xen (LD_PRELOAD, see _xl.py).
 *
 * `xl create -n -d FILE` parses, prints what libxl would be told, and creates nothing. On its way it opens the
 * hypervisor and the store, and asks how large the host is. Here is what it is answered: 64 CPUs on 4 nodes, 16 GiB,
 * no cpupool, an empty store. Nothing else of libxenctrl is replaced: a call that is not expected would crash xl.
 */
#include <errno.h>
#include <string.h>
#include <xenctrl.h>
#include <xenstore.h>

static int nothing;

xc_interface *xc_interface_open(xentoollog_logger *logger, xentoollog_logger *builder, unsigned int flags)
{
    (void)logger; (void)builder; (void)flags;
    return (xc_interface *)&nothing;
}

int xc_interface_close(xc_interface *xch)
{
    (void)xch;
    return 0;
}

int xc_version(xc_interface *xch, int command, void *arg)
{
    (void)xch;
    switch (command) {
    case XENVER_version:
        return (4 << 16) | 17;
    case XENVER_pagesize:
        return 4096;
    case XENVER_capabilities:
        strcpy(arg, "xen-3.0-x86_64 hvm-3.0-x86_64");
        return 0;
    case XENVER_compile_info:
        memset(arg, 0, sizeof(xen_compile_info_t));
        return 0;
    case XENVER_platform_parameters:
        memset(arg, 0, sizeof(xen_platform_parameters_t));
        return 0;
    case XENVER_extraversion:
    case XENVER_changeset:
    case XENVER_commandline:
        strcpy(arg, "");
        return 0;
    }
    errno = ENODATA;
    return -1;
}

int xc_physinfo(xc_interface *xch, xc_physinfo_t *info)
{
    (void)xch;
    memset(info, 0, sizeof(*info));
    info->nr_cpus = 64;
    info->max_cpu_id = 63;
    info->nr_nodes = 4;
    info->max_node_id = 3;
    info->total_pages = info->free_pages = 4 << 20;
    info->capabilities = XEN_SYSCTL_PHYSCAP_hvm | XEN_SYSCTL_PHYSCAP_pv | XEN_SYSCTL_PHYSCAP_directio;
    return 0;
}

int xc_get_max_cpus(xc_interface *xch)
{
    (void)xch;
    return 64;
}

int xc_get_max_nodes(xc_interface *xch)
{
    (void)xch;
    return 4;
}

int xc_cputopoinfo(xc_interface *xch, unsigned *cpus, xc_cputopo_t *topology)
{
    (void)xch;
    if (!topology)
        *cpus = 64;
    else
        for (unsigned int i = 0; i < *cpus; i++)
            topology[i] = (xc_cputopo_t){.core = i, .socket = i / 16, .node = i / 16};
    return 0;
}

long xc_sharing_freed_pages(xc_interface *xch)
{
    (void)xch;
    return 0;
}

long xc_sharing_used_frames(xc_interface *xch)
{
    (void)xch;
    return 0;
}

xc_cpupoolinfo_t *xc_cpupool_getinfo(xc_interface *xch, uint32_t pool)
{
    (void)xch; (void)pool;
    return NULL;
}

struct xs_handle *xs_open(unsigned long flags)
{
    (void)flags;
    return (struct xs_handle *)&nothing;
}

void xs_close(struct xs_handle *store)
{
    (void)store;
}

void xs_daemon_destroy_postfork(struct xs_handle *store)
{
    (void)store;
}

void *xs_read(struct xs_handle *store, xs_transaction_t transaction, const char *path, unsigned int *length)
{
    (void)store; (void)transaction; (void)path; (void)length;
    errno = ENOENT;
    return NULL;
}

char **xs_directory(struct xs_handle *store, xs_transaction_t transaction, const char *path, unsigned int *count)
{
    (void)store; (void)transaction; (void)path; (void)count;
    errno = ENOENT;
    return NULL;
}
