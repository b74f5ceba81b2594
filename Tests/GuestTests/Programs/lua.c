// Lua, linked statically: runs the script that is its first argument; the others are the script's.
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>

int main(int argc, char **argv) {
  lua_State *state = luaL_newstate();
  luaL_openlibs(state);
  if (argc < 2 || luaL_loadfile(state, argv[1]) != LUA_OK) {
    printf("cannot load: %s\n", argc < 2 ? "no script" : lua_tostring(state, -1));
    return 2;
  }
  for (int i = 2; i < argc; i++) lua_pushstring(state, argv[i]);
  if (lua_pcall(state, argc - 2, 1, 0) != LUA_OK) {
    printf("failed: %s\n", lua_tostring(state, -1));
    return 1;
  }
  int code = (int)lua_tointeger(state, -1);
  lua_close(state);
  return code;
}
