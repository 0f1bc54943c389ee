/* A stand-in for `sudo -n COMMAND...` on a device that has none: everyone may. */
#include <grp.h>
#include <string.h>
#include <unistd.h>

int main(int count, char **words) {
    if (count < 3 || strcmp(words[1], "-n") || setgroups(0, 0) || setgid(0) || setuid(0))
        return 1;
    execvp(words[2], words + 2);
    return 127;
}
