# TAB for ssmx in bash; made by `ssmx completions bash`.
_ssmx() {
    local cur=$2 directives line
    local IFS=$'\n'
    COMPREPLY=()
    {
        read -r directives || return 0
        while read -r line; do
            COMPREPLY+=("$line")
        done
    } < <(command ssmx __complete bash "${COMP_LINE:0:COMP_POINT}" "$cur" "$COMP_TYPE" 2>/dev/null)
    case " $directives " in
        *' files '*)
            # readline's own completion of files, which knows how to quote them.
            [[ ${#COMPREPLY[@]} -eq 0 ]] && compopt -o default -o filenames 2>/dev/null
            ;;
    esac
    case " $directives " in
        *' nospace '*) compopt -o nospace 2>/dev/null ;;
    esac
    return 0
}
complete -o nosort -F _ssmx ssmx 2>/dev/null || complete -F _ssmx ssmx
