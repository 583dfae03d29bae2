/* SPDX-License-Identifier: MIT */
/* The list of built-in servers, or the one that a build has in its place. docs/SERVERS.md has the policy. */
#ifndef NPI_DEFAULT_SERVERS_H
#define NPI_DEFAULT_SERVERS_H

/* A header that defines the list: the build options make one of a file with a server on each line. */
#ifdef NPI_DEFAULT_SERVERS_FILE
#include NPI_DEFAULT_SERVERS_FILE
#else
/*
 * BEHAVIOUR: it is expected to have a second address (RFC 5780). MAPPING: it answers plain requests only. Behind the
 * server: since when it is in the list, and when a survey last found it to be so; "never": none has.
 */
#define NPI_DEFAULT_SERVERS(BEHAVIOUR, MAPPING)                                                                        \
    BEHAVIOUR("stun.m-online.net:3478", "2026-11-23", "never")                                                         \
    BEHAVIOUR("stun.voipia.net:3478", "2026-11-23", "never")                                                           \
    BEHAVIOUR("stun.dcalling.de:3478", "2026-11-23", "never")                                                          \
    BEHAVIOUR("stun.voipgate.com:3478", "2026-11-23", "never")                                                         \
    BEHAVIOUR("stun.mixvoip.com:3478", "2026-11-23", "never")                                                          \
    BEHAVIOUR("stun.sonetel.com:3478", "2026-11-23", "never")                                                          \
    BEHAVIOUR("stun.sonetel.net:3478", "2026-11-23", "never")                                                          \
    BEHAVIOUR("stun.pure-ip.com:3478", "2026-11-23", "never")                                                          \
    BEHAVIOUR("stun.axialys.net:3478", "2026-11-23", "never")                                                          \
    BEHAVIOUR("stun.business-isp.nl:3478", "2026-11-23", "never")                                                      \
    BEHAVIOUR("stun.nextcloud.com:3478", "2026-11-23", "never")                                                        \
    BEHAVIOUR("stun.nextcloud.com:443", "2026-11-23", "never")                                                         \
    BEHAVIOUR("stun.sip.us:3478", "2026-11-23", "never")                                                               \
    BEHAVIOUR("stun.siptrunk.com:3478", "2026-11-23", "never")                                                         \
    BEHAVIOUR("stun.freeswitch.org:3478", "2026-11-23", "never")                                                       \
    BEHAVIOUR("stun.signalwire.com:3478", "2026-11-23", "never")                                                       \
    MAPPING("stun.l.google.com:19302", "2026-11-23", "never")                                                          \
    MAPPING("stun1.l.google.com:19302", "2026-11-23", "never")                                                         \
    MAPPING("stun2.l.google.com:19302", "2026-11-23", "never")                                                         \
    MAPPING("stun3.l.google.com:19302", "2026-11-23", "never")                                                         \
    MAPPING("stun4.l.google.com:19302", "2026-11-23", "never")                                                         \
    MAPPING("stun.cloudflare.com:3478", "2026-11-23", "never")
#endif

#endif
