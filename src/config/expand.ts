// ${NAME} in strings, taken from the environment; $$ is a dollar.

export type Environment = Record<string, string | undefined>;

/** The text with everything expanded; `used` tells whether anything came from the environment. */
export type Expansion = { text: string; used: boolean } | { problem: string };

/**
 * Expands `text`. A problem names the variable only when `secret` is false or the text is nothing but the variable:
 * within a secret, what looks like a name may be a part of the secret.
 */
export function expand(text: string, env: Environment, secret: boolean): Expansion {
  let used = false;
  let problem: string | undefined;
  const expanded = text.replace(/\$\$|\$\{([^}]*)(\}?)/g, (match, name: string | undefined, end: string) => {
    if (name === undefined) return "$";
    if (end === "" || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
      problem ??=
        '"${" must be followed by the name of a variable and a closing brace; a dollar by itself is written "$$"';
      return "";
    }
    const value = env[name];
    if (value === undefined) {
      const shown = secret && match !== text ? "a variable in it" : `the environment variable ${name}`;
      problem ??= `${shown} is not set`;
    }
    used = true;
    return value ?? "";
  });
  return problem === undefined ? { text: expanded, used } : { problem };
}
