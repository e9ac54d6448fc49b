// Copyright 2026 molmo_ros contributors
// SPDX-License-Identifier: Apache-2.0

/* Preloaded into a process: every attempt to reach beyond this machine is refused, and a line in $TRAFFIC_LOG.
   Loopback, numbers as host names and multicast that leaves through loopback (ROS' discovery) pass. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void note(const char *what, const char *where) {
    char line[512];
    const char *path = getenv("TRAFFIC_LOG");
    int size = snprintf(line, sizeof line, "%s %s\n", what, where);
    int file = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (file < 0 || write(file, line, size) != size) abort();
    close(file);
}

/* Whether an address is not of this machine; if so it is noted. */
static int outside(const char *what, int socket, const struct sockaddr *to) {
    char text[INET6_ADDRSTRLEN] = "?";
    if (to == NULL) return 0;
    if (to->sa_family == AF_INET) {
        struct in_addr address = ((const struct sockaddr_in *)to)->sin_addr, through = {0};
        socklen_t size = sizeof through;
        unsigned first = ntohl(address.s_addr) >> 24;
        if (first == 127 || address.s_addr == INADDR_ANY) return 0;
        if (first >> 4 == 14 && getsockopt(socket, IPPROTO_IP, IP_MULTICAST_IF, &through, &size) == 0 &&
            ntohl(through.s_addr) >> 24 == 127)
            return 0;
        inet_ntop(AF_INET, &address, text, sizeof text);
    } else if (to->sa_family == AF_INET6) {
        const struct in6_addr *address = &((const struct sockaddr_in6 *)to)->sin6_addr;
        if (IN6_IS_ADDR_LOOPBACK(address) || IN6_IS_ADDR_UNSPECIFIED(address)) return 0;
        if (IN6_IS_ADDR_V4MAPPED(address) && address->s6_addr[12] == 127) return 0;
        inet_ntop(AF_INET6, address, text, sizeof text);
    } else {
        return 0; /* AF_UNIX, AF_NETLINK */
    }
    note(what, text);
    errno = ENETUNREACH;
    return 1;
}

static int foreign_name(const char *what, const char *name) {
    unsigned char number[16];
    if (name == NULL || *name == 0 || strcmp(name, "localhost") == 0 || inet_pton(AF_INET, name, number) == 1 ||
        inet_pton(AF_INET6, name, number) == 1)
        return 0;
    note(what, name);
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    return foreign_name("getaddrinfo", name) ? EAI_AGAIN : REAL(getaddrinfo)(name, service, hints, found);
}

struct hostent *gethostbyname(const char *name) {
    return foreign_name("gethostbyname", name) ? NULL : REAL(gethostbyname)(name);
}

struct hostent *gethostbyname2(const char *name, int family) {
    return foreign_name("gethostbyname2", name) ? NULL : REAL(gethostbyname2)(name, family);
}

int gethostbyname_r(const char *name, struct hostent *into, char *buffer, size_t size, struct hostent **found,
                    int *error) {
    if (!foreign_name("gethostbyname_r", name)) return REAL(gethostbyname_r)(name, into, buffer, size, found, error);
    *found = NULL;
    *error = TRY_AGAIN;
    return EAGAIN;
}

int connect(int socket, const struct sockaddr *to, socklen_t size) {
    return outside("connect", socket, to) ? -1 : REAL(connect)(socket, to, size);
}

ssize_t sendto(int socket, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length) {
    return outside("sendto", socket, to) ? -1 : REAL(sendto)(socket, data, size, flags, to, length);
}

ssize_t sendmsg(int socket, const struct msghdr *message, int flags) {
    return outside("sendmsg", socket, message->msg_name) ? -1 : REAL(sendmsg)(socket, message, flags);
}

int sendmmsg(int socket, struct mmsghdr *messages, unsigned count, int flags) {
    for (unsigned one = 0; one < count; one++)
        if (outside("sendmmsg", socket, messages[one].msg_hdr.msg_name)) return -1;
    return REAL(sendmmsg)(socket, messages, count, flags);
}
