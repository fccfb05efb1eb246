import { UsageError } from "../base/errors.ts";
import { createWriter } from "../terminal/output.ts";
import { invalidChoice, stringFlag } from "./flags.ts";
import type { FlagValues, SelfContainedCommand } from "./command.ts";
import { type Shell, SHELLS } from "./candidates.ts";
import { PROGRAM } from "./help.ts";
import type { Documents } from "./json_documents.ts";

/** `completion`: prints the script that completes command lines in a shell. */
export const command: SelfContainedCommand = {
  name: "completion",
  summary: "print the script that completes commands, flags and values in your shell",
  operands: SHELLS.join("|"),
  flags: {
    "name": { value: "NAME", help: "another name for the program, such as an alias" },
    "words": { help: "for the scripts: complete the following line" },
  },
  examples: [
    ["completion bash >> ~/.bashrc", "for bash; it takes effect in the next shell"],
    ["completion zsh >> ~/.zshrc", "for zsh; put it after the line with compinit, if you have one"],
    ["completion fish >> ~/.config/fish/config.fish", "for fish"],
    ["completion powershell >> $PROFILE", "for PowerShell"],
    ["completion bash --name migrate >> ~/.bashrc", "for an alias named migrate"],
  ],
  runAlone: async ({ flags, operands, output }) => {
    const [shell, ...others] = operands;
    if (shell === undefined || others.length > 0) {
      throw new UsageError("Cannot print a script: name a shell", {
        help: `expected ${SHELLS.slice(0, -1).join(", ")} or ${SHELLS.at(-1)}`,
      });
    }
    const known = SHELLS.find((one) => one === shell);
    if (known === undefined) {
      throw await invalidChoice("shell", shell, { command, choices: SHELLS });
    }
    const script = scriptFor(known, nameOf(flags));
    output.json({ ok: true, shell: known, script } satisfies Documents["completion"]);
    // A shell reads it, so nothing is escaped.
    if (!output.isJson) createWriter(Deno.stdout)(script);
    return 0;
  },
};

/** The program's name, in characters that no shell interprets. */
function nameOf(flags: FlagValues): string {
  const name = stringFlag(flags, "name") ?? PROGRAM;
  if (/^[A-Za-z0-9_][\w.+-]*$/.test(name)) return name;
  throw new UsageError(
    `Cannot use --name ${
      JSON.stringify(name)
    }: only letters, digits, ".", "_", "+" and "-" are allowed`,
    { help: "use the name alone, without a directory" },
  );
}

/**
 * The script for a shell. It passes the line to the program, and shows the result. `--words` marks the
 * call: an alias or a function may put other words, even another command, before it.
 */
export function scriptFor(shell: Shell, name: string): string {
  const identifier = `_${name.replace(/\W/g, "_")}`;
  return scripts[shell].replaceAll("{name}", name).replaceAll("{function}", identifier);
}

/** A script as written here; backslashes protect its `$` and backquotes. */
function script(parts: TemplateStringsArray, ...values: readonly string[]): string {
  return String.raw(parts, ...values).replace(/\\([$`])/g, "$1");
}

/** bash 3.2, which comes with macOS, has neither `compopt` nor lists of aliases. */
const bash = script`# bash completion for {name}

{function}_complete() {
  local line=\${COMP_LINE:0:COMP_POINT} word=\${COMP_WORDS[0]//[\'\"\\]/} home paths=
  local -a run
  printf -v home %q "$HOME"
  line=\${line// \~\// $home/}
  [[ $word == "~/"* ]] && word=$HOME/\${word:2}
  run=("$word")
  if ((BASH_VERSINFO[0] >= 4)) && [[ -n \${BASH_ALIASES[$word]-} ]]; then
    read -ra run <<<"\${BASH_ALIASES[$word]}"
  fi
  type -t -- "\${run[0]}" >/dev/null || run=(${PROGRAM})

  COMPREPLY=()
  while IFS= read -r word; do
    if [[ -n $paths ]]; then COMPREPLY+=("$word"); else paths=$word; fi
  done < <("\${run[@]}" completion bash --words "$line" "$2" "\${COMP_TYPE-}" "\${COLUMNS:-80}" \
    </dev/null 2>/dev/null)

  # Without compopt, bash always completes files here.
  ((\${#COMPREPLY[@]} > 0)) || case $paths in
    files) compopt -o default ;;
    directories) compopt +o default -o dirnames ;;
    *) compopt +o default ;;
  esac 2>/dev/null
}

complete -o nosort -F {function}_complete {name} 2>/dev/null ||
  complete -o default -F {function}_complete {name}
`;

/** Works both as a file in a directory of `$fpath` and sourced. */
const zsh = script`#compdef {name}

{function}_complete() {
  local -a run lines
  local word ret=1

  word=\${(Q)words[1]}
  [[ $word == '~/'* ]] && word=$HOME/\${word[3,-1]}
  run=("$word")
  (( $+aliases[$word] )) && run=("\${(Q@)\${(z)aliases[$word]}}")
  whence -- "$run[1]" >/dev/null || run=(${PROGRAM})

  # As it is set before the command on this line.
  for word in "\${(@z)LBUFFER}"; do
    [[ $word == DB_PATH_PREFIX=* ]] && local -x DB_PATH_PREFIX=\${(Q)word#*=}
  done
  word="\${(j: :)words[1,CURRENT-1]} \${(q)\${(Q)PREFIX}}"
  word=\${word// \~\// \${(q)HOME}/}
  lines=("\${(@f)$("\${run[@]}" completion zsh --words "$word" </dev/null 2>/dev/null)}")
  word=$lines[1]
  lines=("\${(@)\${(@)lines[2,-1]%$'\t'}/$'\t'/:}")
  [[ $PREFIX == --*=* ]] && compset -P 1 '*='
  (( $#lines )) && _describe -V '{name}' lines && ret=0
  case $word in
    files) _files && ret=0 ;;
    directories) _files -/ && ret=0 ;;
  esac
  return ret
}

if [[ \${funcstack[1]-} == _{name} ]]; then
  {function}_complete "$@"
else
  (( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
  compdef {function}_complete {name}
fi
`;

const fish = script`# fish completion for {name}

function _{function}_complete
    # From version 4 on, variables and ~ are expanded by the first of these.
    set -l words (commandline -xpc 2>/dev/null; or commandline -opc)
    set -l current (commandline -ct | string collect)
    set current "$current"
    while set -q words[1]; and string match -qr '^\w+=' -- $words[1]
        set -e words[1]
    end
    set -l run $words[1]
    set -e words[1]
    type -q -- $run; or set run ${PROGRAM}
    type -q -- $run; or return
    set -q words[1]; and set words (string replace -r '^~/' "$HOME/" -- $words)
    set -l lines ($run completion fish --words .$words ".$current" </dev/null 2>/dev/null)
    set -q lines[2]; and printf '%s\n' $lines[2..]

    set -l prefix (string match -r -- '^--[^=]+=' $current)
    set -l rest (string replace -r -- '^--[^=]+=' '' $current | string collect)
    set -l found
    switch "$lines[1]"
        case files
            set found (__fish_complete_path "$rest")
        case directories
            set found (__fish_complete_directories "$rest" '')
    end
    set -q found[1]; and printf '%s\n' "$prefix"$found
end

complete -c {name} -f -k -a '(_{function}_complete)'
`;

/** Windows PowerShell 5.1 drops empty arguments and breaks those with quotes, so there are none. */
const powershell = script`# PowerShell completion for {name}

Register-ArgumentCompleter -Native -CommandName '{name}' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $words = @()
    $current = ''
    foreach ($element in $commandAst.CommandElements | Select-Object -Skip 1) {
        if ($element.Extent.StartOffset -ge $cursorPosition) { break }
        $text = $element.Extent.Text
        if ($element.Extent.EndOffset -ge $cursorPosition) {
            $length = $cursorPosition - $element.Extent.StartOffset
            $current = $text.Substring(0, $length).TrimStart([char[]]@('"', "'"))
            break
        }
        if ($element -is [System.Management.Automation.Language.StringConstantExpressionAst]) {
            $text = $element.Value
        }
        $words += $text -replace '^~(?=[\\/])', $HOME.Replace('$', '$$')
    }
    $arguments = @($words) + $current | ForEach-Object { '.' + $_ }
    # A batch file would take these for commands.
    if (($arguments -join ' ') -match '["%&|<>^!\r\n]') { return }

    $lines = @()
    try {
        $program = $commandAst.GetCommandName()
        if (-not (Get-Command $program -ErrorAction Ignore)) { $program = '${PROGRAM}' }
        $lines = @($null | & $program completion powershell --words @arguments 2>$null)
    } catch { }
    $paths = 'none'
    if ($lines.Count -gt 0) { $paths = $lines[0] }

    $results = @(
        foreach ($line in $lines | Select-Object -Skip 1) {
            $value, $description = $line -split "\`t", 2
            if (-not $description) { $description = $value }
            [System.Management.Automation.CompletionResult]::new(
                $value, $value, 'ParameterValue', $description)
        }
        if ($paths -ne 'none') {
            $prefix = ''
            $rest = $current
            if ($current -match '^(--[^=]+=)(.*)$') { $prefix, $rest = $Matches[1], $Matches[2] }
            [System.Management.Automation.CompletionCompleters]::CompleteFilename($rest) |
                Where-Object { $paths -eq 'files' -or $_.ResultType -eq 'ProviderContainer' } |
                ForEach-Object {
                    [System.Management.Automation.CompletionResult]::new(
                        $prefix + $_.CompletionText, $_.ListItemText, $_.ResultType, $_.ToolTip)
                }
        }
    )
    # Without any result PowerShell would complete files.
    if ($results.Count -eq 0) { '' } else { $results }
}
`;

const scripts: Readonly<Record<Shell, string>> = { bash, zsh, fish, powershell };
