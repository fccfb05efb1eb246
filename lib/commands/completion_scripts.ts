import type { Shell } from "./arguments.ts";

/**
 * The script for a shell. It passes the words of the line to the program, each preceded by a dot so that
 * none is taken for a flag, and shows the result. It uses the flag `--words`, which no other command
 * takes: if an alias or a function runs another command, that command refuses the flag.
 */
export function scriptFor(shell: Shell, name: string): string {
  const identifier = `_${name.replace(/\W/g, "_")}`;
  return scripts[shell].replaceAll("{name}", name).replaceAll("{function}", identifier);
}

const PROGRAM = "catalyst-migrate";

/** A script as written here; backslashes protect its `$` and backquotes. */
function script(parts: TemplateStringsArray, ...values: readonly string[]): string {
  return String.raw(parts, ...values).replace(/\\([$`])/g, "$1");
}

/** bash 3.2, which comes with macOS, has neither `compopt` nor lists of aliases. */
const bash = script`# bash completion for {name}

{function}_complete() {
  local rest=\${COMP_LINE:0:COMP_POINT} last= breaks= stem= at space word line
  local -a words=() run=() args=() values=() descriptions=()
  COMPREPLY=()

  # bash cuts words at = and :, the program doesn't.
  for ((at = 0; at <= COMP_CWORD; at++)); do
    space=\${rest%%[![:space:]]*}
    rest=\${rest#"$space"}
    word=\${COMP_WORDS[at]}
    ((at < COMP_CWORD)) || word=$rest
    if [[ -z $space && at -gt 0 && ( $word =~ ^[=:]+$ || $last =~ ^[=:]+$ ) ]]; then
      words[\${#words[@]} - 1]+=$word
    else
      words+=("$word")
    fi
    last=$word
    rest=\${rest#"$word"}
  done
  # The text it inserts begins after the last of them.
  [[ $COMP_WORDBREAKS == *=* ]] && breaks+==
  [[ $COMP_WORDBREAKS == *:* ]] && breaks+=:
  word=\${words[\${#words[@]} - 1]}
  [[ -n $breaks ]] && stem=\${word%"\${word##*[$breaks]}"}

  word=\${words[0]//[\'\"\\]/}
  [[ $word == "~/"* ]] && word=$HOME/\${word:2}
  if ((BASH_VERSINFO[0] >= 4)) && [[ -n \${BASH_ALIASES[$word]-} ]]; then
    read -ra run <<<"\${BASH_ALIASES[$word]}"
    if [[ \${run[0]##*/} == ${PROGRAM}* ]]; then
      for word in "\${run[@]:1}"; do args+=(".$word"); done
      run=("\${run[0]}")
    fi
  elif type -t -- "$word" >/dev/null; then
    run=("$word")
  else
    run=(${PROGRAM})
  fi
  for word in "\${words[@]:1}"; do
    [[ $word == "~/"* ]] && word=$HOME/\${word:2}
    args+=(".$word")
  done

  local paths=
  while IFS= read -r line; do
    line=\${line%$'\r'}
    if [[ -z $paths ]]; then
      paths=$line
      continue
    fi
    word=\${line%%$'\t'*}
    values+=("\${word#"$stem"}")
    descriptions+=("\${line#*$'\t'}")
  done < <("\${run[@]}" completion bash --words "\${args[@]}" </dev/null 2>/dev/null)

  if ((\${#values[@]} == 0)); then
    # Without compopt, bash always completes files here.
    case $paths in
      files) compopt -o default ;;
      directories) compopt -o dirnames ;;
    esac 2>/dev/null
    return
  fi
  COMPREPLY=("\${values[@]}")
  # Only if the candidates are listed, and none is inserted.
  if [[ \${COMP_TYPE-} == 63 ]] && ((\${#values[@]} > 1)); then
    local width=0
    for word in "\${values[@]}"; do
      ((\${#word} > width)) && width=\${#word}
    done
    for ((at = 0; at < \${#values[@]}; at++)); do
      [[ -n \${descriptions[at]} ]] || continue
      printf -v line '%-*s  %s' "$width" "\${values[at]}" "\${descriptions[at]}"
      COMPREPLY[at]=\${line:0:\${COLUMNS:-80} - 2}
    done
  fi
}

if ((BASH_VERSINFO[0] > 4 || (BASH_VERSINFO[0] == 4 && BASH_VERSINFO[1] >= 4))); then
  complete -o nosort -F {function}_complete {name}
elif ((BASH_VERSINFO[0] == 4)); then
  complete -F {function}_complete {name}
else
  complete -o default -F {function}_complete {name}
fi
`;

/** Works both as a file in a directory of `$fpath` and sourced. */
const zsh = script`#compdef {name}

{function}_complete() {
  local -a run args lines shown
  local word paths ret=1

  for word in "\${(@)words[1,CURRENT-1]}" "$PREFIX"; do
    [[ $word == '~/'* ]] && word=$HOME/\${word[3,-1]}
    args+=("\${(Q)word}")
  done
  run=("$args[1]")
  shift args
  if (( $+aliases[$run[1]] )); then
    run=("\${(Q@)\${(z)aliases[$run[1]]}}")
    if [[ $run[1]:t == ${PROGRAM}* ]]; then
      args=("\${(@)run[2,-1]}" "\${(@)args}")
      run=("$run[1]")
    fi
  elif ! whence -- "$run[1]" >/dev/null; then
    run=(${PROGRAM})
  fi

  # As it is set before the command on this line.
  for word in "\${(@z)LBUFFER}"; do
    [[ $word == DB_PATH_PREFIX=* ]] && local -x DB_PATH_PREFIX=\${(Q)word#*=}
  done
  lines=("\${(@f)$("\${run[@]}" completion zsh --words "\${(@)args/#/.}" </dev/null 2>/dev/null)}")
  paths=$lines[1]
  shift lines
  for word in "\${(@)lines}"; do
    word=\${word%$'\t'}
    shown+=("\${word/$'\t'/:}")
  done
  [[ $PREFIX == --*=* ]] && compset -P 1 '*='
  (( $#shown )) && _describe -V '{name}' shown && ret=0
  case $paths in
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
    set -l paths $lines[1]
    set -e lines[1]
    set -q lines[1]; and printf '%s\n' $lines

    set -l prefix (string match -r -- '^--[^=]+=' $current)
    set -l rest (string replace -r -- '^--[^=]+=' '' $current | string collect)
    set -l found
    switch "$paths"
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
