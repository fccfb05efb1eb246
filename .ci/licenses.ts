/** The licences of the packages in an executable, which every copy must include. */
import { join } from "node:path";

/** A package that a build includes, by its key in the lock, such as `ws@8.23.0`. */
interface Package {
  readonly name: string;
  readonly version: string;
}

/** Writes the licences of packages as one text; `cache` is Deno's directory of npm packages. */
export function licensesOf(keys: Iterable<string>, cache: string): string {
  const packages = new Map([...keys].map((key) => {
    const [, name = "", version = ""] = /^(@?[^@]+)@([^_]+)/.exec(key) ?? [];
    return [`${name} ${version}`, { name, version }];
  }));
  const sections = [...packages].sort(([a], [b]) => a < b ? -1 : 1).map(([title, one]) =>
    `${title}\n${"=".repeat(title.length)}\n\n${licenseOf(one, cache)}\n`
  );
  return `catalyst-migrate includes these npm packages.\n\n${sections.join("\n")}`;
}

function licenseOf({ name, version }: Package, cache: string): string {
  for (const { name: registry } of Deno.readDirSync(cache)) {
    const directory = join(cache, registry, name, version);
    try {
      const files = [...Deno.readDirSync(directory)].map((file) => file.name).sort();
      const texts = files.filter((file) => /^(licen[cs]e|copying|notice)/i.test(file));
      if (texts.length > 0) {
        return texts.map((file) => Deno.readTextFileSync(join(directory, file)).trim()).join(
          "\n\n",
        );
      }
      const { license } = JSON.parse(Deno.readTextFileSync(join(directory, "package.json")));
      return `License: ${license}`;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  throw new Error(`the cache has no ${name}@${version}`);
}
