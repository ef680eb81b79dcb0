// Writes COUNT datagrams to a UNIX datagram socket as fast as it takes them, waiting where it is full. Each is the content of
// FILE with its number in decimal digits at OFFSET. Prints when the first was sent, in nanoseconds since the epoch.
// Usage: sender SOCKET COUNT FILE OFFSET DIGITS
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

static int fail(const char *what) {
  perror(what);
  return 1;
}

int main(int argc, char **argv) {
  static char message[1 << 16];
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (argc != 6 || strlen(argv[1]) >= sizeof address.sun_path) return 2;
  strcpy(address.sun_path, argv[1]);
  long count = atol(argv[2]);
  long offset = atol(argv[4]);
  long digits = atol(argv[5]);
  FILE *file = fopen(argv[3], "rb");
  if (file == NULL) return fail(argv[3]);
  size_t size = fread(message, 1, sizeof message, file);

  int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) return fail(argv[1]);
  struct timespec start;
  clock_gettime(CLOCK_REALTIME, &start);
  for (long sent = 0; sent < count; sent++) {
    if (send(fd, message, size, 0) != (ssize_t)size) return fail("send");
    for (char *digit = message + offset + digits - 1; digit >= message + offset && ++*digit > '9'; digit--) *digit = '0';
  }
  printf("%lld%09ld\n", (long long)start.tv_sec, start.tv_nsec);
  return 0;
}
