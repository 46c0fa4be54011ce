"""Pages of HTML: one file each, without scripts, that asks for nothing from anywhere.

What can be switched (contenders, light and dark) is switched by the style sheet alone. Where styles
are barred too, as by Jenkins, the page is whole, and has no switches.
"""
