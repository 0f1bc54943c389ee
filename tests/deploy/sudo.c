/* A stand-in for `sudo -n COMMAND...` on a device without sudo: every user is allowed. */
#include <grp.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 3 || strcmp(argv[1], "-n") || setgroups(0, 0) || setgid(0) || setuid(0))
        return 1;
    execvp(argv[2], argv + 2);
    return 127;
}
