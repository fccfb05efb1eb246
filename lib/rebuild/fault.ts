/** Why a table can't be rebuilt; which table it is is known further up. */
export class RebuildFault extends Error {
  /** What to do about it. */
  readonly help: string;

  constructor(reason: string, help: string) {
    super(reason);
    this.name = "RebuildFault";
    this.help = help;
  }
}
