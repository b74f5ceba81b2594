// Says what it was given, and ends with a code of its own.
#include <stdio.h>
#include <stdlib.h>

int main(int count, char **arguments) {
  printf("hello, %d arguments\n", count - 1);
  for (int i = 1; i < count; i++) puts(arguments[i]);
  const char *value = getenv("COLOUR");
  printf("COLOUR is %s\n", value ? value : "not set");
  return 42;
}
