/* A PV kernel that does nothing: 4 MiB of memory hold it, so 50 of them run beside each other in the lab.
 *
 * It asks Xen to be woken when any event channel fires and goes back to sleep. SCHEDOP_poll, unlike SCHEDOP_block,
 * leaves upcalls masked: Xen never tries to call a handler, and there is none. It has no drivers and answers no
 * request in control/shutdown; it can only be destroyed.
 *
 * Assembled by lab/image.py, which links it low and in one piece, so that it ends far below 4 MiB.
 * The notes: Xen's public/elfnote.h. The start of day: public/xen.h, "Start-of-day memory layout".
 */
        .set    __HYPERVISOR_sched_op, 29
        .set    SCHEDOP_poll, 3

        .macro  note_string type, text
        .long   4, 2f - 1f, \type
        .asciz  "Xen"
1:      .asciz  "\text"
2:      .align  4
        .endm

        .macro  note_quad type, value
        .long   4, 8, \type
        .asciz  "Xen"
        .quad   \value
        .endm

        .section .note.Xen, "a", @note
        note_string  6, "mini"                          /* GUEST_OS */
        note_string  7, "0.1"                           /* GUEST_VERSION */
        note_string  5, "xen-3.0"                       /* XEN_VERSION */
        note_string  8, "generic"                       /* LOADER */
        note_string 10, "!writable_page_tables|pae_pgdir_above_4gb"     /* FEATURES */
        note_string  9, "yes"                           /* PAE_MODE */
        note_quad    1, _start                          /* ENTRY */
        note_quad    2, hypercall_page                  /* HYPERCALL_PAGE */
        note_quad    3, 0                               /* VIRT_BASE */
        note_quad    4, 0                               /* PADDR_OFFSET */

        .section .text, "ax"
        .code64
        .global _start
_start: cld
sleep:  mov     $SCHEDOP_poll, %edi
        lea     poll(%rip), %rsi
        call    hypercall_page + __HYPERVISOR_sched_op * 32
        jmp     sleep

        .align  8
poll:   .quad   0                                       /* ports: none */
        .long   0, 0                                    /* nr_ports, padding */
        .quad   0                                       /* timeout: never */

        .align  4096
hypercall_page:
        .fill   4096, 1, 0x90

        .section .note.GNU-stack, "", @progbits
