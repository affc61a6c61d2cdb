"""huggingtweets' rules a second time, one character after the other, to hold the trainer's against.

Written from the rules, not from the trainer's code: no regular expression, no `split`, nothing imported from it.
"""


def kept_text(raw):
    """Return the text that a bot learns from this post, None if it learns nothing from it."""
    if is_repost(raw):
        return None
    text = cleaned(raw)
    return None if num_own_words(text) < 3 else text


def is_repost(raw):
    """Does it begin with `RT @name:`?"""
    if raw[:4] != "RT @":
        return False
    end = 4
    while end < len(raw) and (raw[end].isalnum() or raw[end] == "_"):
        end += 1
    return end > 4 and raw[end : end + 1] == ":"


def cleaned(raw):
    text = replaced(replaced(replaced(raw, "&amp;", "&"), "&lt;", "<"), "&gt;", ">")
    for prefix in ("http:", "https:"):
        text = without(text, " " + prefix, "")
        text = without(text, prefix, " ")
        text = without(text, "\n" + prefix, " ")
        text = without(text, "\n" + prefix, "")
        text = without(text, prefix, "")
    return joined(words_of(text))


def replaced(text, old, new):
    result, at = "", 0
    while at < len(text):
        if text[at : at + len(old)] == old:
            result, at = result + new, at + len(old)
        else:
            result, at = result + text[at], at + 1
    return result


def without(text, beginning, behind):
    """Delete each stretch of beginning, one or more characters that are not white space, and what is behind them."""
    result, at = "", 0
    while at < len(text):
        end = at
        if text[at : at + len(beginning)] == beginning:
            end = at + len(beginning)
            while end < len(text) and not text[end].isspace():
                end += 1
        has_address = end > at + len(beginning)
        if has_address and text[end : end + len(behind)] == behind:
            at = end + len(behind)
        else:
            result, at = result + text[at], at + 1
    return result


def words_of(text):
    words, word = [], ""
    for character in text + " ":
        if not character.isspace():
            word += character
        elif word:
            words.append(word)
            word = ""
    return words


def joined(words):
    text = ""
    for word in words:
        text = text + " " + word if text else word
    return text


def num_own_words(text):
    count = 0
    for word in words_of(text):
        if not holds(word, "http") and not holds(word, "@") and not holds(word, "#"):
            count += 1
    return count


def holds(word, mark):
    lower = word.lower()
    return any(lower[at : at + len(mark)] == mark for at in range(len(lower)))
